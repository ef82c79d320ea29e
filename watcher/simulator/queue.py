"""A queue in memory that redelivers like a real queue: a message that is not acknowledged in time comes again.

It has no sockets and uses the time of the event loop, so it also works in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import anyio

from watcher.errors import RemoteError
from watcher.model import Message

BATCH = 10


@dataclass(slots=True)
class _Queued:
    body: bytes
    visible_at: float
    trace: str | None = None
    receipt: int = 0
    received: int = 0


class SimulatedQueue:
    """Implements `ports.Source`. `put` adds a message. When `finite`, it ends as soon as it is empty.

    A received message stays hidden for `hold_s` seconds, then comes again unless it was acknowledged.
    """

    def __init__(self, *, name: str = "queue", hold_s: float = 30.0, finite: bool = True, receivers: int = 2, plain: bool = False) -> None:
        self.name = name
        self.plain = plain
        self.watch_notified = False
        self.receivers = receivers
        self.hold_s: float | None = hold_s
        self.finite = finite
        self.failure: RemoteError | None = None
        """The error that all calls raise; None: they work."""
        self.acked: list[str] = []
        """Ids of acknowledged messages, in order."""
        self.redelivered = 0
        """How many messages came again."""
        self._queued: dict[str, _Queued] = {}
        self._numbers = 0

    def put(self, body: bytes | str, *, trace: str | None = None) -> str:
        """Add a message, with a trace context beside its body. Returns its id."""
        self._numbers += 1
        id_ = f"{self.name}-{self._numbers}"
        self._queued[id_] = _Queued(body if isinstance(body, bytes) else body.encode(), 0.0, trace)
        return id_

    def __len__(self) -> int:
        return len(self._queued)

    async def open(self) -> None:
        """Do nothing: there is no connection."""

    async def close(self) -> None:
        """Do nothing: received messages stay hidden until their time is over, as in a real queue."""

    async def check(self) -> str:
        """Return how many messages it holds. Raises `failure`."""
        self._fail()
        return f"simulated queue, {len(self)} messages"

    async def receive(self) -> Sequence[Message] | None:
        """Return up to ten visible messages; none after a wait of two seconds; None at the end of a finite queue."""
        self._fail()
        now = anyio.current_time()
        visible = list(islice((id_ for id_, queued in self._queued.items() if queued.visible_at <= now), BATCH))
        if visible:
            return [self._hand_out(id_, now) for id_ in visible]
        if self.finite and not self._queued:
            return None
        await anyio.sleep(2.0)
        return ()

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Remove the messages whose receipt is the newest one. Returns the others."""
        self._fail()
        failed = []
        for message in messages:
            queued = self._queued.get(message.id)
            if queued is not None and queued.receipt == message.receipt:
                del self._queued[message.id]
                self.acked.append(message.id)
            else:
                failed.append(message)
        return failed

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Hide the messages whose receipt is the newest one for another `hold_s`. Returns the others."""
        self._fail()
        lost = []
        for message in messages:
            queued = self._queued.get(message.id)
            if queued is not None and queued.receipt == message.receipt and self.hold_s is not None:
                queued.visible_at = anyio.current_time() + self.hold_s
            else:
                lost.append(message)
        return lost

    def _hand_out(self, id_: str, now: float) -> Message:
        queued = self._queued[id_]
        self.redelivered += queued.received > 0
        queued.received += 1
        queued.receipt += 1
        queued.visible_at = now + (self.hold_s or 0.0)
        return Message(id_, queued.body, queued.receipt, queued.trace)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
