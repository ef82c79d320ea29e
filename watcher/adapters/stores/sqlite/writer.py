"""The one thread that writes. It commits all queued calls as one transaction, so they share one fsync.

A call returns only after COMMIT. When one call of a group fails by its own mistake, the group is rolled back and each
call runs in its own transaction, so the others succeed. After an error that leaves the content of the disk unknown,
nothing more is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from watcher.adapters.stores.sqlite.failures import store_error
from watcher.adapters.stores.sqlite.schema import BUSY_S
from watcher.errors import Fenced, SinksRemoved, StoreError, StoreRefused

CHECKPOINT_ROWS = 4000
"""Rows written between two checkpoints: a log of some megabytes."""
EMPTY_S = 0.2
"""How long to wait for the readers before the log can be emptied, in seconds. All commits wait with it."""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True, eq=False)
class _Call:
    work: Work[Any]
    erases: bool
    outcome: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def finish(self) -> None:
        if self.outcome.done():  # the caller was cancelled; the write stays
            return
        if self.error is None:
            self.outcome.set_result(self.result)
        else:
            self.outcome.set_exception(self.error)


class WriterThread:
    """Runs work on its connection, in the order of the calls. All calls come from one event loop.

    `begin` is called at the start of each transaction, in the thread.
    """

    def __init__(self, db: sqlite3.Connection, path: str, begin: Callable[[sqlite3.Connection], None] = lambda _: None) -> None:
        self._db = db
        self._path = path
        self._begin = begin
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._refusal: str | None = None
        """Why nothing more is written."""
        self._erased = False
        """The log may still hold erased rows."""
        self._checkpointed = 0
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T], *, erases: bool = False) -> T:
        """Run `work` in a transaction. Returns its result after the commit.

        `erases` empties the log too, so that erased data does not remain there. When the call is cancelled, the work is
        done as a whole or not at all.
        """
        if self._closed:
            raise StoreRefused(f"{self._path}: the store is closed")
        call = _Call(work, erases, self._loop.create_future())
        self._queue.put(call)
        result: T = await call.outcome
        return result

    async def stop(self) -> None:
        """Finish the queued calls, and end the thread."""
        self._closed = True
        self._queue.put(None)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._thread.join)

    def _serve(self) -> None:
        more = True
        while more:
            calls, more = self._take()
            try:
                self._commit(calls)
                self._checkpoint()
            except Exception as error:  # noqa: BLE001 - if the thread ended here, its callers would wait forever
                self._refusal = f"{self._path}: defect in the store ({type(error).__name__}): report it, and start the watcher again"
                for call in calls:
                    call.error = StoreRefused(self._refusal)
            try:
                self._loop.call_soon_threadsafe(_finish, calls)
            except RuntimeError:  # the loop has ended, and all callers with it
                return

    def _take(self) -> tuple[Sequence[_Call], bool]:
        calls: list[_Call] = []
        while (call := self._queue.get()) is not None:
            calls.append(call)
            if self._queue.empty():
                return calls, True
        return calls, False

    def _commit(self, calls: Sequence[_Call]) -> None:
        if self._refusal is not None:
            self._fail(calls, StoreRefused(self._refusal))
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._begin(self._db)
            for call in calls:
                call.result = call.work(self._db)
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it is raised in its caller, and the thread continues for the others
            self._fail(calls, error)
        else:
            self._erased = self._erased or any(call.erases for call in calls)

    def _fail(self, calls: Sequence[_Call], error: Exception) -> None:
        named = self._named(error)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if named is None and len(calls) > 1:
            for call in calls:
                self._commit([call])
            return
        for call in calls:
            call.error = error if named is None else type(named)(str(named))

    def _named(self, error: Exception) -> StoreError | None:
        """The error of the store that all calls share, or None for one that concerns a single call."""
        if isinstance(error, Fenced | SinksRemoved):
            return None
        named = error if isinstance(error, StoreError) else store_error(error, self._path)
        if isinstance(named, StoreRefused):
            self._refusal = str(named)
        return named

    def _checkpoint(self) -> None:
        """Move the log into the file when it has grown, or must be emptied. When this fails, the commits stay."""
        if not self._erased and self._db.total_changes - self._checkpointed < CHECKPOINT_ROWS:
            return
        try:
            mode = "TRUNCATE" if self._erased else "PASSIVE"
            self._db.execute(f"PRAGMA busy_timeout = {EMPTY_S * 1000:.0f}")
            busy = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
        except sqlite3.Error as error:
            if self._named(error) is None:
                raise
            return
        self._checkpointed = self._db.total_changes
        self._erased = self._erased and bool(busy)  # while a read is under way, the log is emptied after a later group


def _finish(calls: Sequence[_Call]) -> None:
    for call in calls:
        call.finish()
