"""Kinds of services with other protocols than the voice service, for tests."""

from __future__ import annotations

from watcher.kinds.catalog import Catalog
from watcher.kinds.kind_files import read_kinds

TEXTS = {
    "batch.yaml": """
name: batch-job
service: batch
operation: describe_jobs
params: {jobs: {field: job_id, list: true}}
task: jobs[0]
id: jobId
status: status
created: createdAt
message: statusReason
result: '{reason: statusReason}'
statuses: {SUBMITTED: open, RUNNING: open, SUCCEEDED: succeeded, FAILED: failed}
batch: {operation: describe_jobs, param: jobs, size: 100, items: jobs, id: jobId}
""",
    "query.yaml": """
name: query
service: athena
operation: get_query_execution
params: {QueryExecutionId: {}}
task: QueryExecution
status: Status.State
updated: Status.CompletionDateTime
statuses: {QUEUED: open, RUNNING: open, SUCCEEDED: succeeded, FAILED: failed}
not_found: {InvalidRequestException: 'QueryExecution .* was not found'}
batch:
  operation: batch_get_query_execution
  param: QueryExecutionIds
  size: 50
  items: QueryExecutions
  id: QueryExecutionId
  failures: UnprocessedQueryExecutionIds
  failure_id: QueryExecutionId
  failure_code: ErrorCode
""",
    "ecs.yaml": """
name: ecs-task
service: ecs
operation: describe_tasks
params: {cluster: {}, tasks: {field: task, list: true, pattern: '[A-Za-z0-9:/_-]{1,256}'}}
task: tasks[0]
id: taskArn
status: lastStatus
statuses: {PENDING: open, RUNNING: open, STOPPED: succeeded}
batch:
  operation: describe_tasks
  param: tasks
  size: 100
  items: tasks
  id: taskArn
  failures: failures
  failure_id: arn
  failure_code: reason
""",
    "builds.yaml": """
name: build
service: codebuild
operation: batch_get_builds
params: {ids: {field: build, list: true}}
task: builds[0]
id: id
status: buildStatus
statuses: {IN_PROGRESS: open, SUCCEEDED: succeeded, FAILED: failed}
batch: {operation: batch_get_builds, param: ids, size: 100, items: builds, id: id, failures: buildsNotFound, failure_id: '@'}
""",
    "images.yaml": """
name: image
service: ec2
operation: describe_images
params: {ImageIds: {field: image, list: true}}
task: Images[0]
id: ImageId
status: State
statuses: {pending: open, available: succeeded, failed: failed}
batch: {operation: describe_images, param: ImageIds, size: 100, items: Images, id: ImageId}
not_found: {InvalidAMIID.NotFound: null}
""",
    "stacks.yaml": """
name: stack
service: cloudformation
operation: describe_stacks
params: {StackName: {}}
task: Stacks[0]
id: StackName
status: StackStatus
statuses: {CREATE_IN_PROGRESS: open, CREATE_COMPLETE: succeeded, CREATE_FAILED: failed}
not_found: {ValidationError: 'does not exist'}
""",
    "snapshots.yaml": """
name: snapshot
service: rds
operation: describe_db_snapshots
params: {DBSnapshotIdentifier: {}}
task: DBSnapshots[0]
status: Status
statuses: {creating: open, available: succeeded, failed: failed}
""",
    "executions.yaml": """
name: execution
service: stepfunctions
operation: describe_execution
params: {executionArn: {pattern: '[A-Za-z0-9:/_-]{1,256}'}}
task: '@'
status: status
statuses: {RUNNING: open, SUCCEEDED: succeeded, FAILED: failed}
""",
    "jobruns.yaml": """
name: job-run
service: glue
operation: get_job_run
params: {JobName: {}, RunId: {}}
task: JobRun
id: Id
status: JobRunState
statuses: {STARTING: open, SUCCEEDED: succeeded, FAILED: failed}
""",
}

CATALOG = Catalog(read_kinds(TEXTS))
