"""What the overview reads from the store, read by one loop for all pages that are open.

A page never waits for the store: it gets the last answer, or the reason why there is none. While no page asks, nothing is read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from watcher.errors import StoreError
from watcher.runtime.wakeup import Wakeup

EVERY_S = 2.0
"""The least time between two reads, in seconds."""
FIRST_WAIT_S = 2.0
"""How long a page waits for an answer when there is none that is recent, in seconds."""
STALE_S = 10.0
"""An answer that is older than this, in seconds, is not shown: the store does not answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """The last answer to one question. `value` is None while it is unavailable, for the reason given."""

    value: Any
    unavailable: str | None
    at: float
    """When it was read, in monotonic seconds."""


class StoreParts:
    """The last answers of the store, by the name of the part. `reads` are the questions."""

    def __init__(self, reads: Mapping[str, Callable[[], Awaitable[Any]]], *, mono: Callable[[], float] = time.monotonic) -> None:
        self._reads = reads
        self._mono = mono
        self._parts: dict[str, Part] = {}
        self._wanted = Wakeup()
        self._answered = anyio.Event()

    async def run(self) -> None:
        """Read while pages ask, until cancelled."""
        while True:
            await self._wanted.wait()
            for name, read in self._reads.items():
                self._parts[name] = await self._read(read)
            self._answered.set()
            self._answered = anyio.Event()
            await anyio.sleep(EVERY_S)

    async def latest(self) -> Mapping[str, Part]:
        """The last answer to each question. Never raises what a read raised."""
        self._wanted.set()
        if any(self._age(name) > STALE_S for name in self._reads):
            with anyio.move_on_after(FIRST_WAIT_S):
                await self._answered.wait()
        return {name: self._parts[name] if self._age(name) <= STALE_S else self._silent() for name in self._reads}

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> Part:
        try:
            return Part(await read(), None, self._mono())
        except StoreError as error:
            return Part(None, str(error), self._mono())

    def _age(self, name: str) -> float:
        return self._mono() - self._parts[name].at if name in self._parts else float("inf")

    def _silent(self) -> Part:
        return Part(None, "the store does not answer", self._mono())
