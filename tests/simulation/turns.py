"""Threads on a loop whose time jumps: they take turns, so that a run is exact and replays.

Alone, such a loop goes on to its next timer while a thread is at work, and the thread's answer comes whenever it comes. Here work for a
thread waits until the loop has nothing left to do at that instant. Then one piece of it is done while the loop and its clock stand
still: what comes back, when, and in which order, is the same in each run. That a disk is slow is virtual time, before and after.
"""

from __future__ import annotations

import threading
from asyncio import BaseEventLoop
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from queue import SimpleQueue
from typing import Any

import anyio
import pytest
from anyio import to_thread

from watcher.adapters.stores.sqlite import store
from watcher.adapters.stores.sqlite.writer import WriterThread

HANGS_S = 60.0
"""A thread that takes so much real time is broken."""

Turn = Callable[[], None]


class Turns:
    """Who waits for a turn, in the order in which they asked for it."""

    def __init__(self, loop: BaseEventLoop, delay: Callable[[], float], during: Callable[[], AbstractContextManager[None]]) -> None:
        self._loop = loop
        self._delay = delay
        """Virtual seconds before a turn, and again before its outcome is known."""
        self._during = during
        self._waiting: deque[Turn] = deque()
        self._answers: SimpleQueue[Turn] = SimpleQueue()
        self._select: Callable[[float | None], Any] = loop._selector.select  # type: ignore[attr-defined]
        self._soon = loop.call_soon_threadsafe

    def ask(self, turn: Turn, *, at_once: bool = False) -> None:
        """It is called when the loop idles, a delay from now."""
        self._loop.call_later(0 if at_once else self._delay(), self._waiting.append, turn)

    def tell(self, answer: Turn) -> None:
        """The loop calls it a delay from now."""
        self._loop.call_later(self._delay(), answer)

    def answer(self) -> Turn:
        """What another thread has for the loop. Stands still until there is something."""
        return self._answers.get(timeout=HANGS_S)

    async def run_sync(self, work: Callable[..., Any], *args: Any, limiter: Any = None, **_: Any) -> Any:
        """Like anyio's: once begun it cannot be cancelled. It needs no thread, because all others stand still meanwhile."""
        told = self._loop.create_future()

        def turn() -> None:
            try:
                self.tell(partial(told.set_result, work(*args)))
            except Exception as error:  # noqa: BLE001 - it belongs to the caller
                self.tell(partial(told.set_exception, error))

        await anyio.lowlevel.checkpoint()
        async with limiter or nullcontext():
            self.ask(turn)
            with anyio.CancelScope(shield=True):
                return await told

    def select(self, timeout: float | None) -> Any:
        """As the loop's selector; but before time goes on, whoever waits has a turn."""
        if timeout == 0 or not self._waiting:
            return self._select(timeout)
        with self._during():
            self._waiting.popleft()()
        return self._select(0)

    def call_soon_threadsafe(self, callback: Callable[..., None], *args: Any, context: Any = None) -> Any:
        """As the loop's; but what another thread has for the loop waits for the end of its turn."""
        if threading.current_thread() is threading.main_thread():
            return self._soon(callback, *args, context=context)
        return self._answers.put(partial(callback, *args))


class TurnWriter(WriterThread):
    """In its turn its thread takes all that is queued, as one group, whereas without turns it takes what it happens to find."""

    def __init__(self, turns: Turns, *args: Any) -> None:
        self._turns = turns
        self._go: SimpleQueue[None] = SimpleQueue()
        super().__init__(*args)
        self._queue = _Ringing(self._ring)  # before the first turn, and so before its thread has looked

    def _ring(self, call: Any) -> None:
        self._turns.ask(self._turn, at_once=call is None)  # the thread's end comes before it is joined

    def _turn(self) -> None:
        if self._thread.is_alive() and not self._queue.empty():  # else an earlier turn took all
            self._go.put(None)
            self._turns.tell(self._turns.answer())

    def _take(self) -> Any:
        self._go.get()
        return super()._take()


class _Ringing(SimpleQueue):  # type: ignore[type-arg]
    """Says what was put in."""

    def __init__(self, ring: Callable[[Any], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._ring(item)


@contextmanager
def in_turns(
    loop: BaseEventLoop, delay: Callable[[], float] = lambda: 0.0, during: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """While it lasts, SQLite stores on this loop go by turns, which take no virtual time but `delay`."""
    turns = Turns(loop, delay, during)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._selector, "select", turns.select)  # type: ignore[attr-defined]
        patch.setattr(loop, "call_soon_threadsafe", turns.call_soon_threadsafe)
        patch.setattr(to_thread, "run_sync", turns.run_sync)
        patch.setattr(store, "WriterThread", partial(TurnWriter, turns))
        yield
