"""Kinds held against the API models that botocore ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.adapters.aws.service_models import ServiceModels
from watcher.config import read
from watcher.errors import ConfigMistakes
from watcher.kinds.api_check import check_kind
from watcher.kinds.catalog import builtin_texts
from watcher.kinds.kind_files import read_forms

GLUE = """\
sources: [{type: lines}]
sinks: [{type: jsonl}]
kinds:
  - name: etl
    service: glue
    operation: get_job_run
    params:
      JobName: {field: job}
      RunId: {field: run}
    extra: {PredecessorsIncluded: false}
    task: JobRun
    id: Id
    status: JobRunState
    created: StartedOn
    updated: CompletedOn
    message: ErrorMessage
    result: "{seconds: ExecutionTime, attempts: PredecessorRuns[*].{job: JobName}}"
    types: {ExecutionTime: number}
    settled: seconds
    count: "{attempts: length(attempts)}"
    private: ["attempts[*].job"]
    statuses:
      STARTING: open
      RUNNING: open
      WAITING: open
      STOPPING: open
      SUCCEEDED: succeeded
      STOPPED: failed
      FAILED: failed
      TIMEOUT: failed
      ERROR: failed
      EXPIRED: failed
"""
BATCH = """\
sources: [{type: lines}]
sinks: [{type: jsonl}]
kinds:
  - name: builds
    service: codebuild
    operation: batch_get_builds
    params: {ids: {list: true}}
    task: "builds[0]"
    id: id
    status: buildStatus
    created: startTime
    statuses: {IN_PROGRESS: open, SUCCEEDED: succeeded, FAILED: failed, FAULT: failed, TIMED_OUT: failed, STOPPED: failed}
    batch:
      operation: batch_get_builds
      param: ids
      size: 100
      items: builds
      id: id
"""


def mistakes(tmp_path: Path, text: str) -> tuple[str, ...]:
    file = tmp_path / "w.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        read(file, {}, apis=True)
    except ConfigMistakes as error:
        return tuple(line.removeprefix(f"{tmp_path}/") for line in error.mistakes)
    return ()


@pytest.mark.parametrize("text", [GLUE, BATCH])
def test_a_kind_that_fits_its_api_has_no_mistakes(tmp_path: Path, text: str) -> None:
    """The kinds that the other tests of this module change are valid."""
    assert mistakes(tmp_path, text) == ()


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("service: glue", "service: gleu", '5: kinds[0].service: botocore has no service "gleu"; did you mean glue?'),
        ("get_job_run", "get_job_runn", "6: kinds[0].operation: glue has no operation get_job_runn; did you mean get_job_run?"),
        (
            "get_job_run",
            "start_job_run",
            "6: kinds[0].operation: start_job_run may change something; use an operation that only reads: "
            "one of get_..., batch_get_..., describe_..., batch_describe_..., list_...",
        ),
        (
            "JobName: {field: job}",
            "Jobname: {field: job}",
            "8: kinds[0].params.Jobname: GetJobRun has no parameter Jobname; did you mean JobName?",
        ),
        (
            "      JobName: {field: job}\n",
            "",
            "7: kinds[0].params: the API requires JobName; add it to params, or to extra with a constant value",
        ),
        (
            "{field: run}",
            "{field: run, list: true}",
            "9: kinds[0].params.RunId.list: GetJobRun has a string in this place; remove list: true",
        ),
        (
            "{PredecessorsIncluded: false}",
            "{PredecessorsIncluded: maybe}",
            "10: kinds[0].extra.PredecessorsIncluded: expected a boolean, as in the API",
        ),
        (
            "{PredecessorsIncluded: false}",
            "{Predecessors: false}",
            "10: kinds[0].extra.Predecessors: GetJobRun has no parameter Predecessors; did you mean PredecessorsIncluded?",
        ),
        ("{PredecessorsIncluded: false}", "{RunId: x}", "10: kinds[0].extra.RunId: is in params too; remove one of them"),
        ("task: JobRun", "task: Job", "11: kinds[0].task: GetJobRunResponse has no member Job; did you mean JobRun?"),
        ("task: JobRun", "task: JobRun.Id", "11: kinds[0].task: finds a string, expected an object"),
        ("id: Id", "id: ID", "12: kinds[0].id: JobRun has no member ID; did you mean Id?"),
        (
            "    id: Id\n",
            "",
            "4: kinds[0].id: the task has no member RunId; write id: with the member that has the identifier (did you mean Id?), "
            "or id: false if there is none",
        ),
        ("id: Id", "id: Attempt", "12: kinds[0].id: finds an integer, expected a string"),
        ("JobRunState", "JobRunStat", "13: kinds[0].status: JobRun has no member JobRunStat; did you mean JobRunState?"),
        ("status: JobRunState", "status: Attempt", "13: kinds[0].status: finds an integer, expected a string"),
        ("status: JobRunState", "status: Arguments", "13: kinds[0].status: finds a map, expected a string"),
        (
            "status: JobRunState",
            "status: PredecessorRuns.JobName",
            "13: kinds[0].status: JobName is not found, because PredecessorList is a list; add [0] for its first element before .JobName",
        ),
        (
            "status: JobRunState",
            "status: JobRunState.Name",
            "13: kinds[0].status: Name is not found, because JobRunState is a string, which has no members",
        ),
        (
            "status: JobRunState",
            'status: "JobName[0]"',
            "13: kinds[0].status: [0] finds nothing, because NameString is a string and not a list",
        ),
        ("created: StartedOn", "created: TriggerName", "14: kinds[0].created: finds a string, expected a timestamp"),
        ("updated: CompletedOn", "updated: CompletdOn", "15: kinds[0].updated: JobRun has no member CompletdOn; did you mean CompletedOn?"),
        (
            "message: ErrorMessage",
            "message: ErrorMesage",
            "16: kinds[0].message: JobRun has no member ErrorMesage; did you mean ErrorMessage?",
        ),
        ("seconds: ExecutionTime", "seconds: ExecTime", "17: kinds[0].result: JobRun has no member ExecTime; did you mean ExecutionTime?"),
        ("job: JobName", "job: Job", "17: kinds[0].result: Predecessor has no member Job; did you mean JobName?"),
        (
            "seconds: ExecutionTime",
            "seconds: CompletedOn",
            "17: kinds[0].result: contains a timestamp (seconds), which JSON does not have; choose other members of the task",
        ),
        ("types: {ExecutionTime: number}", "types: {ExecTime: number}", "18: kinds[0].types.ExecTime: JobRun has no member ExecTime"),
        (
            "types: {ExecutionTime: number}",
            "types: {ExecutionTime: string}",
            "18: kinds[0].types.ExecutionTime: is an integer in the API, and cannot be string",
        ),
        (
            "types: {ExecutionTime: number}",
            "types: {'PredecessorRuns[*].JobName': list}",
            "18: kinds[0].types.PredecessorRuns[*].JobName: is a string in",
        ),
        ("settled: seconds", "settled: second", "19: kinds[0].settled: the value before it has no member second; did you mean seconds?"),
        ("length(attempts)", "length(attempt)", "20: kinds[0].count: the value before it has no member attempt; did you mean attempts?"),
        ("attempts[*].job", "attempts[*].jobb", "21: kinds[0].private[0]: the value before it has no member jobb; did you mean job?"),
        ("      EXPIRED: failed\n", "", "22: kinds[0].statuses: EXPIRED is missing; classify every status of the API"),
        ("      ERROR: failed\n", "      ERORR: failed\n", "31: kinds[0].statuses.ERORR: the API has no such status; did you mean ERROR?"),
        (
            "      EXPIRED: failed\n",
            "      EXPIRED: failed\n      GONE: failed\n",
            "33: kinds[0].statuses.GONE: the API has no such status; use one of: STARTING, ",
        ),
    ],
)
def test_a_mistake_in_a_kind_names_its_line_and_what_would_be_right(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    """Each line has the file, the line and the key; a name that does not exist has the most similar one beside it."""
    assert old in GLUE
    found = mistakes(tmp_path, GLUE.replace(old, new, 1))
    assert any(line.startswith(f"w.yaml:{mistake}") for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("{ids: {list: true}}", "{ids: {}}", "7: kinds[0].params.ids.list: BatchGetBuilds has a list in this place; write list: true"),
        ('"builds[0]"', "builds", "8: kinds[0].task: finds a list, expected an object; add [0] for its first element"),
        (
            "      operation: batch_get_builds",
            "      operation: batch_get_build",
            "14: kinds[0].batch.operation: codebuild has no operation batch_get_build; did you mean",
        ),
        (
            "      operation: batch_get_builds",
            "      operation: batch_delete_builds",
            "14: kinds[0].batch.operation: batch_delete_builds may change something",
        ),
        (
            "      operation: batch_get_builds\n      param: ids",
            "      operation: batch_get_fleets\n      param: name",
            "15: kinds[0].batch.param: BatchGetFleets has no parameter name; did you mean names?",
        ),
        ("size: 100", "size: 101", "16: kinds[0].batch.size: BatchGetBuilds takes at most 100 ids, got 101"),
        ("items: builds", "items: build", "17: kinds[0].batch.items: BatchGetBuildsOutput has no member build; did you mean builds?"),
        ("items: builds", 'items: "builds[0]"', "17: kinds[0].batch.items: finds an object, expected a list"),
        ("      id: id", "      id: jobId", "18: kinds[0].batch.id: Build has no member jobId; did you mean id?"),
        (
            "      id: id",
            "      id: id\n      failures: buildNotFound\n      failure_id: id",
            "19: kinds[0].batch.failures: BatchGetBuildsOutput has no member buildNotFound; did you mean buildsNotFound?",
        ),
        (
            "status: buildStatus",
            "status: phases.phaseStatus",
            "10: kinds[0].status: phaseStatus is not found, because BuildPhases is a list",
        ),
    ],
)
def test_a_mistake_in_a_batch_call_names_its_line(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    """The batch call has a request and a reply of its own; mistakes of both calls are reported once."""
    assert old in BATCH
    found = mistakes(tmp_path, BATCH.replace(old, new, 1))
    assert [line for line in found if line.startswith(f"w.yaml:{mistake}")], found
    assert len(set(found)) == len(found)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    """Several mistakes in several kinds are one list, in the order of the lines."""
    second = GLUE.partition("kinds:\n")[2].replace("name: etl", "name: other").replace("StartedOn", "StartdOn")
    found = mistakes(tmp_path, GLUE.replace("id: Id", "id: Ip").replace("ErrorMessage", "ErrMessage") + second)
    assert [line.split(": ")[1] for line in found] == ["kinds[0].id", "kinds[0].message", "kinds[1].created"]


def test_kinds_are_compared_although_there_are_other_mistakes(tmp_path: Path) -> None:
    """A mistake elsewhere, in another kind, or in another key of the kind hides no difference from the API; and a key with a mistake of
    its own has no second one."""
    kind = GLUE.partition("kinds:\n")[2]
    broken = kind.replace("name: etl", "name: broken").replace("    task: JobRun\n", "")
    placeholder = kind.replace("name: etl", "name: placeholder").replace("STARTING: open", "FIRST_STATUS: open")
    placeholder = placeholder.replace("StartedOn", "StartdOn") + "    durations: {FIRST_STATUS: {median: 5s}}\n"
    text = GLUE.replace("type: lines", "type: lines, queue: 3").replace("id: Id", "id: '['").replace("ErrorMessage", "ErrMessage")
    found = mistakes(tmp_path, text + broken + placeholder)
    assert [line.split(": ")[1] for line in found] == [
        "sources[0].queue",
        "kinds[0].id",
        "kinds[0].message",
        "kinds[1].task",
        "kinds[2].created",
        "kinds[2].statuses.FIRST_STATUS",
    ]


def test_a_wrong_own_param_is_one_mistake(tmp_path: Path) -> None:
    """Where the API does not have the last param, nothing is said about a default of `id` that is made of its name."""
    found = mistakes(tmp_path, GLUE.replace("RunId: {field: run}", "RunID: {field: run}").replace("    id: Id\n", ""))
    assert [line.split(": ")[1] for line in found] == ["kinds[0].params", "kinds[0].params.RunID"]


def test_the_form_is_enough_for_a_start(tmp_path: Path) -> None:
    """Without the comparison, which `watcher run` leaves out, a kind that differs from its API is valid."""
    file = tmp_path / "w.yaml"
    file.write_text(GLUE.replace("JobRunState", "JobRunStat"), encoding="utf-8")
    assert read(file, {}).settings.kinds


def test_a_status_with_a_default_has_the_words_of_both(tmp_path: Path) -> None:
    """An alternative that is a constant is a status too, and must be classified."""
    found = mistakes(tmp_path, GLUE.replace("status: JobRunState", "status: \"JobRunState || 'UNKNOWN'\""))
    assert found == ("w.yaml:22: kinds[0].statuses: UNKNOWN is missing; classify every status of the API",)


def test_every_service_that_botocore_ships_can_be_read() -> None:
    """A model of each protocol, and one whose shapes contain themselves, give operations and shapes."""
    apis = ServiceModels()
    assert {"glue", "batch", "chime-sdk-voice"} <= set(apis.services)
    for name, method in (
        ("sqs", "list_queues"),
        ("lexv2-models", "describe_slot"),
        ("rds", "describe_db_snapshots"),
        ("batch", "describe_jobs"),
    ):
        assert apis.service(name).operations[method].only_reads
    assert not apis.service("stepfunctions").operations["get_activity_task"].only_reads


def test_the_shipped_kinds_fit_their_apis() -> None:
    """Each kind that ships with the watcher passes the comparison that a user's kind must pass."""
    apis = ServiceModels()
    found = {form.name: check_kind(form, apis) for form in read_forms(builtin_texts())}
    assert {name: mistakes for name, mistakes in found.items() if mistakes} == {}
