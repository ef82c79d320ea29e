"""Real sockets on a loop whose clock jumps: the clock moves only while nothing is expected from the server.

A socket with a reader or a writer is one on which an answer is expected, except for connections that listen: those may wait
forever. While an answer is expected the loop waits in real time. Only when every backend of which one is expected waits for a
lock does the clock move on, because what holds the lock may wait for virtual time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from selectors import DefaultSelector
from typing import Any

LOOK_S = 0.002
"""Real seconds without an answer after which the server is asked whether it waits for a lock."""
SETTLE_S = 0.005
"""Real seconds in which a notification arrives after the commit that sends it. A later one only comes later in virtual time."""
HANGS_S = 120.0
"""Real seconds without an answer after which the server is considered to hang."""

Stuck = Callable[[set[int]], float | None]
"""For sockets on which an answer is expected: None while the server works on any, or the virtual seconds for which all will wait."""


class RealIo:
    """Takes the place of `select` of the loop's selector."""

    def __init__(self, loop: Any, stuck: Stuck) -> None:
        self.listening: set[int] = set()
        """Sockets on which no answer is expected, only notifications."""
        self.signals_expected = False
        """A notification may be on its way."""
        self._loop: Any = loop
        self._selector = loop._selector
        self._stuck = stuck
        self._known: set[int] = set()
        """Sockets of which all backends wait for locks, since when nothing was received."""
        self._own = loop._ssock.fileno()
        self._selector.select = self.select

    def look_again(self) -> None:
        """A lock was released, so the server may work again."""
        self._known = set()

    def select(self, timeout: float | None = None) -> Any:
        """As the loop's selector; moves the clock of the loop instead of waiting, but only while no answer is expected."""
        ready = self._poll(0)
        if ready or timeout == 0:
            return ready
        limit: float | None = None
        if expected := self._expected():
            ready, limit = self._wait(expected)
            if ready or limit == 0:
                return ready
        if self.signals_expected:
            self.signals_expected = False
            if ready := self._poll(SETTLE_S):
                return ready
        if timeout is None:
            raise RuntimeError("deadlock: all tasks wait, and no timer is left to wake one of them")
        self._loop.advance(timeout if limit is None else min(timeout, limit))
        return []

    def _wait(self, expected: set[int]) -> tuple[Any, float | None]:
        """What was received, or for how many virtual seconds nothing will be."""
        began = time.monotonic()
        while True:
            ready = [] if expected == self._known else self._poll(LOOK_S)
            if ready:
                return ready, None
            limit = self._stuck(expected)
            if limit is not None:
                self._known = expected if limit else set()
                return [], limit
            self._known = set()
            if time.monotonic() - began > HANGS_S:
                raise RuntimeError(f"no answer from the server for {HANGS_S} s")

    def _expected(self) -> set[int]:
        return set(self._selector.get_map()) - self.listening - {self._own}

    def _poll(self, timeout: float) -> Any:
        ready = DefaultSelector.select(self._selector, timeout)
        if ready:
            self._known = set()
        return ready
