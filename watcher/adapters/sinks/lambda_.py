"""Invoke a Lambda function with each event: asynchronously, so that Lambda queues the event and answers at once.

The payload is the event. Lambda retries a function that fails, and gives up after the time and the attempts that are configured for the
function: a destination or a dead-letter queue of the function keeps such events, not the watcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FunctionName, arn_region
from watcher.errors import Invalid, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need

MAX_BYTES = 256 * 1024
"""Bytes of a payload. In some Regions, Lambda accepts 1 MiB, but not every destination of a function does."""

_ABOUT_THE_EVENT = frozenset({"RequestTooLargeException", "InvalidRequestContentException"})
"""Codes that refuse this payload, and say nothing about others."""


class LambdaSinkSettings(Section):
    """Events to a Lambda function."""

    type: Literal["lambda"] = "lambda"
    """A Lambda function, invoked asynchronously with each event."""
    name: Name = "lambda"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    function: FunctionName
    """The name or the ARN of the function, with or without an alias or a version."""
    concurrency: int = Field(default=8, ge=1, le=100)
    """The number of calls at the same time. Calls for the same task never overlap."""


class LambdaSink:
    """Invokes a function with each event, with the invocation type `Event`."""

    max_batch = 1

    def __init__(self, settings: LambdaSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self.concurrency = settings.concurrency
        self._function = settings.function
        self._region = arn_region(settings.function)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Ask Lambda whether the function can be invoked. Needs only the permission to invoke it, and invokes nothing."""
        await self._invoke("DryRun", b"{}")
        return f"function {self._function.rpartition(':function:')[2]}, may be invoked"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Invoke the function with each event."""
        return [await self._send(event) for event in events]

    async def _send(self, event: Event) -> Outcome:
        if len(event.body) > MAX_BYTES:
            return Rejected("size", "event")
        try:
            status = await self._invoke("Event", event.body)
        except Invalid as error:
            if error.code in _ABOUT_THE_EVENT:
                return Rejected(error.code, "event")
            return batches.failed_entry(error.code)
        return Delivered() if status == 202 else Retry(Unreadable(str(status)))  # 202 Accepted: the event is queued

    async def _invoke(self, type_: str, payload: bytes) -> int:
        """Return the status of the reply. Raises a RemoteError."""
        params = {"FunctionName": self._function, "InvocationType": type_, "Payload": payload}
        reply = await self._aws.call("lambda", "invoke", params, region=self._region)
        return int(reply.get("StatusCode") or 0)
