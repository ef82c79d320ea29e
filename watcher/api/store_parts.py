"""The parts of the overview that come from the store, read by one loop for all open pages.

A page gets the last answer of the store, or the reason why there is none. While no page sends requests, nothing is read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from watcher.errors import StoreError
from watcher.runtime.wakeup import Wakeup

EVERY_S = 2.0
"""The minimum time between two reads, in seconds."""
WORK_SHARE = 0.1
"""The maximum share of the time that reads for the pages may take. So a store with many open tasks is read less often."""
FIRST_WAIT_S = 2.0
"""How long a page waits for an answer when there is none that is recent, in seconds."""
STALE_S = 10.0
"""An answer that is older than this, and than two pauses between reads, in seconds, is not shown: the store does not answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """The last answer to one question. `value` is None while it is unavailable, for the reason given."""

    value: Any
    unavailable: str | None
    at: float
    """When it was read, in monotonic seconds."""


class StoreParts:
    """The last answers of the store, by the name of the part. `reads` are the questions."""

    def __init__(self, reads: Mapping[str, Callable[[], Awaitable[Any]]], *, mono: Callable[[], float] = anyio.current_time) -> None:
        self._reads = reads
        self._mono = mono
        self._parts: dict[str, Part] = {}
        self._pause_s = EVERY_S
        self._wanted = Wakeup()
        self._answered = anyio.Event()

    async def run(self) -> None:
        """Read while pages send requests, until cancelled."""
        while True:
            await self._wanted.wait()
            began = self._mono()
            for name, read in self._reads.items():
                self._parts[name] = await self._read(read)
            self._pause_s = max(EVERY_S, (self._mono() - began) / WORK_SHARE)
            self._answered.set()
            self._answered = anyio.Event()
            await anyio.sleep(self._pause_s)

    async def latest(self) -> Mapping[str, Part]:
        """The last answer to each question. Never raises what a read raised."""
        self._wanted.set()
        if any(self._stale(name) for name in self._reads):
            with anyio.move_on_after(FIRST_WAIT_S):
                await self._answered.wait()
        return {name: self._silent() if self._stale(name) else self._parts[name] for name in self._reads}

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> Part:
        try:
            return Part(await read(), None, self._mono())
        except StoreError as error:
            return Part(None, str(error), self._mono())

    def _stale(self, name: str) -> bool:
        return name not in self._parts or self._mono() - self._parts[name].at > max(STALE_S, 2 * self._pause_s)

    def _silent(self) -> Part:
        return Part(None, "the store does not answer", self._mono())
