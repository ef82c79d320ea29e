"""A queue inside the process, with a real queue's manners: what is not acknowledged in time comes again.

No sockets; time is the event loop's, so a virtual clock drives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from watcher.errors import RemoteError
from watcher.model import Message

BATCH = 10


@dataclass(slots=True)
class _Parcel:
    body: bytes
    visible_at: float
    receipt: int = 0
    received: int = 0


class SimulatedQueue:
    """A `Source`. `put` feeds it; it is exhausted once `finite` and empty.

    Messages that are received stay hidden for `hold_s` seconds, and come again unless acknowledged.
    """

    def __init__(self, *, name: str = "queue", hold_s: float = 30.0, finite: bool = True, receivers: int = 2, plain: bool = False) -> None:
        self.name = name
        self.plain = plain
        self.receivers = receivers
        self.hold_s: float | None = hold_s
        self.finite = finite
        self.failure: RemoteError | None = None
        """Raised by the next calls, for as long as it stands."""
        self.acked: list[str] = []
        self.redelivered = 0
        self._parcels: dict[str, _Parcel] = {}
        self._numbers = 0

    def put(self, body: bytes | str) -> str:
        """Send a message. Returns its id."""
        self._numbers += 1
        id_ = f"{self.name}-{self._numbers}"
        self._parcels[id_] = _Parcel(body if isinstance(body, bytes) else body.encode(), 0.0)
        return id_

    def __len__(self) -> int:
        return len(self._parcels)

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """What was received and not acknowledged stays hidden until its time is over, as with a real queue."""

    async def check(self) -> str:
        """Says how many messages it holds."""
        self._fail()
        return f"simulated queue, {len(self)} messages"

    async def receive(self) -> Sequence[Message] | None:
        """Up to ten visible messages; an empty answer after two seconds without any."""
        self._fail()
        now = anyio.current_time()
        visible = [id_ for id_, parcel in self._parcels.items() if parcel.visible_at <= now][:BATCH]
        if visible:
            return [self._hand_out(id_, now) for id_ in visible]
        if self.finite and not self._parcels:
            return None
        await anyio.sleep(2.0)
        return ()

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Gone for good, if the receipt is the newest one."""
        self._fail()
        failed = []
        for message in messages:
            parcel = self._parcels.get(message.id)
            if parcel is not None and parcel.receipt == message.receipt:
                del self._parcels[message.id]
                self.acked.append(message.id)
            else:
                failed.append(message)
        return failed

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Hidden for another `hold_s`, if the receipt is the newest one."""
        self._fail()
        lost = []
        for message in messages:
            parcel = self._parcels.get(message.id)
            if parcel is not None and parcel.receipt == message.receipt and self.hold_s is not None:
                parcel.visible_at = anyio.current_time() + self.hold_s
            else:
                lost.append(message)
        return lost

    def _hand_out(self, id_: str, now: float) -> Message:
        parcel = self._parcels[id_]
        self.redelivered += parcel.received > 0
        parcel.received += 1
        parcel.receipt += 1
        parcel.visible_at = now + (self.hold_s or 0.0)
        return Message(id_, parcel.body, parcel.receipt)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
