"""The network between one process and the shared store: each call takes time on both ways, and may be lost on either.

What a call does at the store happens in the store's own time: a process that is frozen, killed, or that gives up waiting
does not undo it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.fleet.loop import PROCESS
from watcher.errors import StoreUnavailable

GIVES_UP_S = 20.0
"""After so many seconds without an answer, an adapter reports that the store is unavailable."""
LOOK_S = 0.5
"""Seconds between two looks of a call that is stuck in the network."""
NEVER_LOST = ("requests",)
"""Calls whose answer is what an operator requested, once: the store has nobody else to tell it to."""


@dataclass
class Network:
    """The condition of the whole store and of its network."""

    slowest_s: float
    """The longest time of each way."""
    lost_answers: float
    down: bool = False
    """The store accepts no call."""
    slow_s: float = 0.0
    """What is added to the longest time of each way."""
    full: str = ""
    """Why writes fail, as on a full disk. Empty: they work."""


@dataclass(frozen=True)
class Luck:
    """What happens to one call. Drawn when it begins, so that no order of later steps changes what is drawn for others."""

    there: float
    """The share of the longest time that it takes on its way there."""
    back: float
    answer: float
    """Its answer is lost where this is below the share of lost answers."""
    withdrawn: bool
    """If its process gives up waiting, the call is withdrawn, if that comes in time."""


class Link:
    """The connection of one process."""

    def __init__(self, network: Network, rng: Random) -> None:
        self.cut = False
        """Its calls fail."""
        self.hanging = False
        """Its calls do not get through, and no error says so."""
        self.slow_s = 0.0
        """What is added to the longest time of each way."""
        self.dead = False
        """The process was killed: it calls nothing, and gets no answer."""
        self._network = network
        self._rng = rng
        self._context = contextvars.copy_context()
        self._context.run(PROCESS.set, -1)
        self.under_way: set[asyncio.Task[None]] = set()

    @property
    def lost(self) -> bool:
        """Whether nothing gets through."""
        return self.cut or self.hanging or self._network.down

    async def call(self, name: str, work: Callable[[], Awaitable[Any]], *, writes: bool = False) -> Any:
        """Let the store do this work. Raises StoreUnavailable when it, or its answer, was lost."""
        if self.dead:
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        luck = Luck(self._rng.random(), self._rng.random(), self._rng.random(), self._rng.random() < 0.5)
        serve = loop.create_task(self._serve(name, work, answer, luck, writes=writes), context=self._context)
        self.under_way.add(serve)
        serve.add_done_callback(self.under_way.discard)
        try:
            return await answer
        except asyncio.CancelledError:
            if luck.withdrawn:
                serve.cancel()
            raise

    async def _serve(self, name: str, work: Callable[[], Awaitable[Any]], answer: asyncio.Future[Any], luck: Luck, *, writes: bool) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await self._travel(luck.there, began)
            self._fail_if(writes and bool(self._network.full), "disk full")
            result = await work()
            await self._travel(luck.back, began)
            self._fail_if(name not in NEVER_LOST and luck.answer < self._network.lost_answers, "connection lost")
        except Exception as error:  # noqa: BLE001 - it is raised in the process
            if not answer.done() and not self.dead:
                answer.set_exception(error)
        else:
            if not answer.done() and not self.dead:
                answer.set_result(result)

    async def _travel(self, share: float, began: float) -> None:
        """One way of a call that began at this time of the loop."""
        network = self._network
        await asyncio.sleep(share * (network.slowest_s + network.slow_s + self.slow_s))
        while self.hanging and asyncio.get_running_loop().time() - began < GIVES_UP_S:  # noqa: ASYNC110 - it ends in two ways
            await asyncio.sleep(LOOK_S)
        self._fail_if(self.lost, "connection refused")

    @staticmethod
    def _fail_if(condition: bool, reason: str) -> None:
        if condition:
            raise StoreUnavailable(reason)
