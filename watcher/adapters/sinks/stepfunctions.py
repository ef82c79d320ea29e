"""Answer executions of AWS Step Functions that wait for a task (`.waitForTaskToken`): the last event of a task is the answer.

A task that succeeded is answered by `SendTaskSuccess` with the `data` of the event, any other end by `SendTaskFailure`. An event before
the end is a `SendTaskHeartbeat`. A token is a secret: it is in no text of this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from watcher.adapters.aws import batches
from watcher.errors import Invalid, RemoteError, Unavailable, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Seconds, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need

MAX_OUTPUT, MAX_ERROR, MAX_CAUSE = 262_144, 256, 32_768
"""Bytes of the output of a success in UTF-8; characters of the error and of the cause of a failure."""
TOO_LARGE = "States.DataLimitExceeded"
"""The name of Step Functions for an output that is too large. A state machine can catch it."""
CLOSED = frozenset({"InvalidToken", "TaskTimedOut", "TaskDoesNotExist"})
"""Codes that say that no execution waits with this token: it timed out, was answered, or was never issued."""
MAX_BATCH, CONCURRENCY = 10, 8
"""The number of events in one send, which makes one call for each token; the number of sends at the same time."""
_SUCCEEDED = frozenset({"SUCCEEDED", "PARTIAL_SUCCESS"})
"""The statuses of a success in stored events without `succeeded`, which earlier versions wrote."""
_NO_CONNECTION = frozenset({"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"})
"""Names of errors before a request was sent."""

Answer = tuple[str, Mapping[str, str]]
"""The operation that answers an event, and its parameters without the token."""


class StepFunctionsSinkSettings(Section):
    """Answers to state machines that wait for a task."""

    type: Literal["stepfunctions"] = "stepfunctions"
    """Answers the task tokens of AWS Step Functions that were submitted with tasks. Other events are not sent anywhere."""
    name: Name = "stepfunctions"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    heartbeat: Seconds | None = Field(default=None, ge=1, le=86_400)
    """How often each execution that waits gets a heartbeat, for states with HeartbeatSeconds: set it to a third of that. null: only when
    the status of the task changes."""


class StepFunctionsSink:
    """Answers task tokens. `watcher.ports.TokenSink` says what it gets."""

    answers_task_tokens = True
    closed_reasons = CLOSED
    max_batch = MAX_BATCH
    concurrency = CONCURRENCY

    def __init__(self, settings: StepFunctionsSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self.heartbeat_s = settings.heartbeat
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Send a heartbeat for a token that does not exist. If Step Functions refuses the token, calls are allowed."""
        outcome = (await self.heartbeat(["check"]))[0]
        if isinstance(outcome, Retry):
            raise outcome.error
        return "Step Functions answers"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Make one call for each event with a token. After a call that failed for a reason outside its event, no more calls are made."""
        return await self._answer_all([(_answer(event), event.task_tokens) for event in events])

    async def heartbeat(self, tokens: Sequence[str]) -> Sequence[Outcome]:
        """Make one call for each token."""
        return await self._answer_all([(("send_task_heartbeat", {}), (token,)) for token in tokens])

    def may_have_arrived(self, error: RemoteError) -> bool:
        """Whether a request without a reply may have arrived: after a timeout, or on a broken connection. An error reply is definite."""
        if isinstance(error, Unreadable):
            return not error.foreign
        answered = error.code.isdigit() or error.detail.startswith("HTTP ")
        return isinstance(error, Unavailable) and not answered and not {error.code, error.detail} & _NO_CONNECTION

    async def _answer_all(self, answers: Sequence[tuple[Answer, Sequence[str]]]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        failed: RemoteError | None = None
        for answer, tokens in answers:
            outcome: Outcome = Delivered()
            for token in tokens:
                if failed is None:
                    outcome = await self._call(answer, token)
                    failed = outcome.error if isinstance(outcome, Retry) else None
                else:
                    outcome = Retry(failed, called=False)
            outcomes.append(outcome)
        if failed is not None and not any(isinstance(outcome, Delivered | Rejected) for outcome in outcomes):
            raise failed
        return outcomes

    async def _call(self, answer: Answer, token: str) -> Outcome:
        operation, params = answer
        try:
            await self._aws.call("stepfunctions", operation, {"taskToken": token, **params})
        except Invalid as error:
            outcome = Rejected(error.code) if error.code in CLOSED else batches.failed_entry(error.code)
            return Rejected(outcome.reason, "event") if isinstance(outcome, Rejected) else outcome  # the calls differ only in their events
        except RemoteError as error:
            return Retry(error)
        return Delivered()


def _answer(event: Event) -> Answer:
    """Return the call that answers an execution that waits for this event's task."""
    if not event.terminal or not event.task_tokens:
        return "send_task_heartbeat", {}
    data: Mapping[str, Any] = json.loads(event.body)["data"]
    if not data.get("succeeded", data.get("to") in _SUCCEEDED):
        return "send_task_failure", {"error": _error(data), "cause": _cause(data)}
    output = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    if len(output.encode()) > MAX_OUTPUT:
        return "send_task_failure", {"error": TOO_LARGE, "cause": f"The event has more than {MAX_OUTPUT} bytes of data."}
    return "send_task_success", {"output": output}


def _error(data: Mapping[str, Any]) -> str:
    """The status of the task, such as FAILED, or the reason why its watch ended, such as deadline."""
    return str(data.get("to") or data.get("reason") or "ended")[:MAX_ERROR]


def _cause(data: Mapping[str, Any]) -> str:
    """The message of the service, with the task and its context as JSON, as long as it fits."""
    parts = {name: data.get(name) for name in ("task", "to", "reason", "message", "context") if data.get(name) is not None}
    cause = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return cause if len(cause) <= MAX_CAUSE else json.dumps({"task": parts.get("task")}, separators=(",", ":"))[:MAX_CAUSE]
