from __future__ import annotations

PIPELINE = """
name: call-analytics
service: chime-sdk-media-pipelines
operation: get_analytics_task
params:
  PipelineId: {field: pipeline_id, pattern: "[a-z0-9-]{1,64}"}
  AnalyticsTaskId: {pattern: '\\w+'}
task: AnalyticsTask
id: AnalyticsTaskId
status: AnalyticsTaskStatus
result: '{name: Output.Name, parts: Output.Parts}'
statuses:
  NotStarted: open
  Initializing: open
  InProgress: open
  Failed: failed
  Stopping: open
  Stopped: failed
quota: {name: media-pipeline, title: Media pipeline API rate}
retention: 1d
"""
"""A kind of another service, with other statuses and params, no provisional status, and no declaration of what is private."""
