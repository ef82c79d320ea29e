"""SIGINT and SIGTERM of a command: the first one stops it, and nothing can keep the process from ending after the second.

The handlers run between two instructions of the main thread, so they need no progress of the event loop, and a scope that
is cancelled at the same moment cannot absorb the signal: `received` says what came. A thread that waits for a disk cannot
be ended, and Python waits for its threads at exit. So the process is ended without Python's own exit when it has not ended
in time. Nothing that was committed is lost by that; it is what a kill does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from watcher.cli import exit_codes

SECOND_S = 1.0
"""After a second signal the process has this long to close its connections, in seconds."""
HINT = "a call does not return, such as a write to a disk that hangs: check the disks; what was committed is kept"
LOG_S = 0.5
"""The longest time to write the last line of the log, in seconds: standard error may be stuck too."""
CODES = {signal.SIGINT: exit_codes.INTERRUPTED, signal.SIGTERM: exit_codes.TERMINATED}

Notify = Callable[[], None]


def _nothing() -> None:
    """Does nothing."""


class StopSignals:
    """Receives SIGINT and SIGTERM from its `with` block on. `deadline_s` is from the first signal to the end of the process.

    `attach` connects an event loop, on which the functions of the caller run.
    """

    def __init__(self, deadline_s: float) -> None:
        self.received: signal.Signals | None = None
        """The first signal."""
        self._deadline_s = deadline_s
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}
        self._loop: Any = None
        self._first: Notify = _nothing
        self._second: Notify = _nothing
        self._wakeup: tuple[socket.socket, ...] = ()
        """A pair of sockets: Python writes to the second one at a signal, and the event loop reads the first one."""

    @property
    def exit_code(self) -> int:
        """The exit code of the first signal, or OK if none came."""
        return exit_codes.OK if self.received is None else CODES[self.received]

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to no other thread
            self._before = {number: signal.signal(number, self._handle) for number in CODES}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._wakeup:
            signal.set_wakeup_fd(-1)
            for each in self._wakeup:
                each.close()

    def attach(self, first: Notify, second: Notify = _nothing) -> None:
        """Call `first` on the running event loop at the first signal, and `second` at the second one; now, for those that came already."""
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._wake_loop_at_signals()
        self._first, self._second = first, second
        for function in (first, second)[: self._count]:
            function()

    def _wake_loop_at_signals(self) -> None:
        """Let a signal end the wait of the event loop. Python runs a handler only when the main thread runs: without this, a signal
        that another thread receives, or that comes just before the loop begins to wait, stays unnoticed until something else happens.

        uvloop does the same itself.
        """
        if not self._before or self._wakeup:
            return
        other = signal.set_wakeup_fd(-1)
        if other != -1:
            signal.set_wakeup_fd(other, warn_on_full_buffer=False)
            return
        self._wakeup = reader, writer = socket.socketpair()
        for each in self._wakeup:
            each.setblocking(False)
        self._loop.add_reader(reader, reader.recv, 4096)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self.received = signal.Signals(number)
            self._end_after(self._deadline_s)
            self._notify(self._first)
        elif self._count == 2:
            self._end_after(SECOND_S)
            self._notify(self._second)
        else:
            os._exit(self.exit_code)

    def _notify(self, function: Notify) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)

    def _end_after(self, seconds: float) -> None:
        try:
            threading.Thread(target=self._end, args=(seconds,), name="end of the process", daemon=True).start()
        except RuntimeError:  # Python itself is at its end, and starts no threads any more
            os._exit(self.exit_code)

    def _end(self, seconds: float) -> None:
        time.sleep(seconds)
        last_line = threading.Thread(target=_log_end, args=(seconds,), daemon=True)
        last_line.start()
        last_line.join(LOG_S)
        os._exit(self.exit_code)


def _log_end(seconds: float) -> None:
    structlog: Any = sys.modules.get("structlog")
    if structlog is not None and structlog.is_configured():
        structlog.get_logger("watcher.run").error("stopped_by_force", after_s=seconds, hint=HINT)
    else:
        os.write(2, f"Ended by force: {HINT}.\n".encode())
