"""Tasks of each kind: ids that match the patterns of the kind."""

from __future__ import annotations

from collections.abc import Mapping

from watcher.kinds.kind import Kind, Param
from watcher.model import TaskRef

UUID = "1b0c6a52-0f3d-4c5e-8a41-0a2b3c4d5e6f"
OWN_FORMS: Mapping[str, tuple[str, ...]] = {
    "bedrock-batch-inference": ("arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghij{n:02}",),
    "cloudformation-stack": ("arn:aws:cloudformation:us-east-1:123456789012:stack/app/stack-{n}",),
    "codebuild-build": ("project:build-{n}",),
    "datasync-execution": ("arn:aws:datasync:us-east-1:123456789012:task/task-0123456789abcdef0/execution/exec-0123456789abcde{n:02}",),
    "ec2-image": ("ami-0123456789abcde{n:02}",),
    "ecs-task": ("fleet", "arn:aws:ecs:us-east-1:123456789012:task/fleet/task-{n}"),
    "emr-serverless-job-run": ("00f1abc", "00f2run{n}"),
    "media-speaker-search": ("pipeline-1", UUID[:-2] + "{n:02}"),
    "media-voice-tone": ("pipeline-1", UUID[:-2] + "{n:02}"),
    "mediaconvert-job": ("1234567890-abc{n}",),
    "rds-snapshot": ("snapshot-{n}",),
    "stepfunctions-execution": ("arn:aws:states:us-east-1:123456789012:execution:machine:run-{n}",),
}
"""Where `task-1` is not a valid id, or there are several params."""


def task_of(kind: Kind, n: int = 1) -> TaskRef:
    """A task of this kind, with another id for each number below 100."""
    texts = OWN_FORMS.get(kind.name) or ("group",) * (len(kind.params) - 1) + ("task-{n}",)
    params = tuple(text.format(n=n) for text in texts)
    assert all(_valid(param, value) for param, value in zip(kind.params, params, strict=True)), f"add {kind.name} to OWN_FORMS"
    return TaskRef(kind.name, params)


def with_id(ref: TaskRef, name: str) -> TaskRef:
    """The same task with another name after the last `:` or `/` of its id."""
    own = ref.params[-1]
    at = max(own.rfind(":"), own.rfind("/")) + 1
    return TaskRef(ref.kind, (*ref.params[:-1], own[:at] + name))


def is_valid(kind: Kind, ref: TaskRef) -> bool:
    """Whether the patterns of the kind allow these ids."""
    return all(_valid(param, value) for param, value in zip(kind.params, ref.params, strict=True))


def _valid(param: Param, value: str) -> bool:
    return param.pattern.fullmatch(value) is not None
