"""Step Functions in a story: executions that wait for task tokens. The real sink answers them, over calls that fail as the story says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import anyio

from watcher.adapters.sinks.stepfunctions import StepFunctionsSink, StepFunctionsSinkSettings
from watcher.errors import Invalid, RemoteError, Throttled, Unavailable

SINK = "executions"
"""The name of the sink."""
TOKEN_MARK = "TASKTOKEN"
"""A part of each task token. It may appear in no event, no dead letter of one, no metric, and no log."""
TOKEN_FAULTS: dict[str, Callable[[], RemoteError]] = {
    "answer throttled": lambda: Throttled("ThrottlingException", "HTTP 400"),
    "answer refused to connect": lambda: Unavailable("EndpointConnectionError"),
    "answer timed out before": lambda: Unavailable("timeout", "ReadTimeoutError"),
    "answer lost": lambda: Unavailable("timeout", "ReadTimeoutError"),
}
"""What a call may raise instead of its reply. After the last one, the call has taken effect."""
LOST = "answer lost"
Took = Literal["done", "closed", "failed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One call that answers a token. Times are virtual seconds."""

    token: str
    operation: str
    params: Mapping[str, str]
    at: float
    took: Took
    """What became of it: the execution went on; it did not wait any more; the call failed before it took effect."""
    open: bool
    """The watch of the task had not ended in the store."""
    doubtful: bool
    """The caller cannot know whether the call took effect."""


@dataclass
class Executions:
    """Executions by their token, and all calls about them. `timeouts` says when some of them end without an answer.

    `is_open`: whether the task of a token has an open watch in the store.
    """

    rng: Random
    shares: Mapping[str, float]
    """The share of calls with each of the `TOKEN_FAULTS`."""
    timeouts: Mapping[str, float]
    latency_s: float
    is_open: Callable[[str], bool]
    answers: list[Answer] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    """How often each fault, and each heartbeat, occurred."""
    _answered: set[str] = field(default_factory=set)

    def sink(self, heartbeat_s: float | None) -> StepFunctionsSink:
        """The sink that answers them."""
        return StepFunctionsSink(StepFunctionsSinkSettings(name=SINK, heartbeat=heartbeat_s), self)  # type: ignore[arg-type]  # it has what the sink uses

    async def call(self, service: str, operation: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Make one call. Raises only `RemoteError`."""
        token = params["taskToken"]
        is_open = self.is_open(token)  # before the wait: the store may have another watch of the task after it
        await anyio.sleep(self.rng.uniform(0, self.latency_s))
        fault = self._draw()
        takes_effect = fault in (None, LOST)
        closed = token in self._answered or anyio.current_time() >= self.timeouts.get(token, float("inf"))
        if operation != "send_task_heartbeat":
            took: Took = "failed" if not takes_effect else "closed" if closed else "done"
            doubtful = fault is not None and TOKEN_FAULTS[fault]().code == "timeout"
            self.answers.append(Answer(token, operation, params, anyio.current_time(), took, is_open, doubtful))
            if took == "done":
                self._answered.add(token)
        else:
            self.seen["heartbeat"] += takes_effect
        await anyio.sleep(self.rng.uniform(0, self.latency_s))
        if fault is not None:
            self.seen[fault] += 1
            raise TOKEN_FAULTS[fault]()
        if closed:
            raise Invalid("TaskTimedOut", "HTTP 400")
        return {}

    def _draw(self) -> str | None:
        chance = self.rng.random()
        for fault, share in self.shares.items():
            chance -= share
            if chance < 0:
                return fault
        return None
