"""Threads on a loop with virtual time: they take turns, so that a run is exact and can be replayed.

Without turns, such a loop moves to its next timer while a thread works, and the thread's answer comes at any time. With
turns, work for a thread waits until the loop has nothing left to do at that instant. Then one piece of work is done while
the loop and its clock stop, so that each run has the same answers at the same times. A slow disk is virtual time before
and after the turn.
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

from watcher.adapters.stores.sqlite import file
from watcher.adapters.stores.sqlite.writer import WriterThread

HANGS_S = 600.0
"""Real seconds after which a thread is considered to hang."""

Turn = Callable[[], None]


class Turns:
    """Work that waits for a turn, in order of request."""

    def __init__(self, loop: BaseEventLoop, delay: Callable[[], float], during: Callable[[], AbstractContextManager[None]]) -> None:
        self._loop = loop
        self._delay = delay
        """Virtual seconds before a turn, and again before its answer arrives."""
        self._during = during
        self._waiting: deque[Turn] = deque()
        self._answers: SimpleQueue[Turn] = SimpleQueue()
        self._select: Callable[[float | None], Any] = loop._selector.select  # type: ignore[attr-defined]
        self._soon = loop.call_soon_threadsafe

    def ask(self, turn: Turn, *, at_once: bool = False) -> None:
        """Call `turn` when the loop has nothing to do, after a delay."""
        self._loop.call_later(0 if at_once else self._delay(), self._waiting.append, turn)

    def deliver(self, answer: Turn) -> None:
        """Let the loop call `answer` after a delay."""
        self._loop.call_later(self._delay(), answer)

    def answer(self) -> Turn:
        """Wait for an answer from another thread, while the loop stops."""
        return self._answers.get(timeout=HANGS_S)

    async def run_sync(self, work: Callable[..., Any], *args: Any, limiter: Any = None, **_: Any) -> Any:
        """Like anyio's: work that has started cannot be cancelled. It needs no thread, because everything else stops meanwhile."""
        outcome = self._loop.create_future()

        def turn() -> None:
            try:
                self.deliver(partial(outcome.set_result, work(*args)))
            except Exception as error:  # noqa: BLE001 - it is raised in the caller
                self.deliver(partial(outcome.set_exception, error))

        await anyio.lowlevel.checkpoint()
        async with limiter or nullcontext():
            self.ask(turn)
            with anyio.CancelScope(shield=True):
                return await outcome

    def select(self, timeout: float | None) -> Any:
        """As the loop's selector; but before time advances, the next work in the queue has its turn."""
        if timeout == 0 or not self._waiting:
            return self._select(timeout)
        with self._during():
            self._waiting.popleft()()
        return self._select(0)

    def call_soon_threadsafe(self, callback: Callable[..., None], *args: Any, context: Any = None) -> Any:
        """As the loop's; but an answer of another thread waits for the end of its turn."""
        if threading.current_thread() is threading.main_thread():
            return self._soon(callback, *args, context=context)
        return self._answers.put(partial(callback, *args))


class TurnWriter(WriterThread):
    """A writer whose thread commits all queued calls in its turn as one group."""

    def __init__(self, turns: Turns, *args: Any) -> None:
        self._turns = turns
        self._go: SimpleQueue[None] = SimpleQueue()
        super().__init__(*args)
        self._queue = _Notifying(self._request)  # before the first turn, so its thread has not read the other queue

    def _request(self, call: Any) -> None:
        self._turns.ask(self._turn, at_once=call is None)  # the thread ends before it is joined

    def _turn(self) -> None:
        if self._thread.is_alive() and not self._queue.empty():  # otherwise an earlier turn took all calls
            self._go.put(None)
            self._turns.deliver(self._turns.answer())

    def _take(self) -> Any:
        self._go.get()
        return super()._take()


class _Notifying(SimpleQueue):  # type: ignore[type-arg]
    """A queue that reports each new item."""

    def __init__(self, notify: Callable[[Any], None]) -> None:
        super().__init__()
        self._notify = notify

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._notify(item)


@contextmanager
def in_turns(
    loop: BaseEventLoop, delay: Callable[[], float] = lambda: 0.0, during: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Let the SQLite stores on this loop take turns. A turn takes no virtual time except `delay`."""
    turns = Turns(loop, delay, during)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._selector, "select", turns.select)  # type: ignore[attr-defined]
        patch.setattr(loop, "call_soon_threadsafe", turns.call_soon_threadsafe)
        patch.setattr(to_thread, "run_sync", turns.run_sync)
        patch.setattr(file, "WriterThread", partial(TurnWriter, turns))
        yield
