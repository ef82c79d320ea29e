"""The one thread that writes. It takes whatever is queued as one transaction: one fsync for all who wait.

A caller hears only after COMMIT. When one call of a group fails by its own fault, the group is undone and each call
runs in a transaction of its own, so its mates do not notice. After an error that leaves the disk in doubt nothing is
written any more: better to crash than to go on.
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

from watcher.adapters.stores.sqlite.failures import named
from watcher.errors import StoreError, StoreRefused

CHECKPOINT_ROWS = 4000
"""Rows written between two checkpoints: some megabytes of log."""

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True, eq=False)
class _Call:
    work: Work[Any]
    erases: bool
    told: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def tell(self) -> None:
        if self.told.done():  # its caller was cancelled; what it asked for stands
            return
        if self.error is None:
            self.told.set_result(self.result)
        else:
            self.told.set_exception(self.error)


class WriterThread:
    """Runs work on its connection, in the order in which it was asked for. To be used from one event loop."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._refusal: str | None = None
        """Set once, for good."""
        self._erased = False
        """Erased rows may still stand in the log."""
        self._checkpointed = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def do(self, work: Work[T], *, erases: bool = False) -> T:
        """What `work` returns, once it is committed. `erases`: then the log is emptied too, so that nothing lingers there.

        Cancelled, the work may or may not be done, but never half of it.
        """
        if self._closed:
            raise StoreRefused(f"{self._path}: the store is closed")
        call = _Call(work, erases, self._loop.create_future())
        self._queue.put(call)
        result: T = await call.told
        return result

    async def stop(self) -> None:
        """Finish what is queued, and end."""
        self._closed = True
        self._queue.put(None)
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        going_on = True
        while going_on:
            calls, going_on = self._take()
            try:
                self._commit(calls)
                self._checkpoint()
            except Exception as error:  # noqa: BLE001 - nobody would ever hear of a thread that just ends
                self._refusal = f"{self._path}: the writer broke ({type(error).__name__}): please report it, and start again"
                for call in calls:
                    call.error = StoreRefused(self._refusal)
            try:
                self._loop.call_soon_threadsafe(_tell, calls)
            except RuntimeError:  # the loop is gone, and with it all who waited
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
            for call in calls:
                call.result = call.work(self._db)
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it belongs to a caller, and the thread must live for the others
            self._fail(calls, error)
        else:
            self._erased = self._erased or any(call.erases for call in calls)

    def _fail(self, calls: Sequence[_Call], error: Exception) -> None:
        trouble = self._trouble(error)
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if trouble is None and len(calls) > 1:
            for call in calls:
                self._commit([call])
            return
        for call in calls:
            call.error = error if trouble is None else type(trouble)(str(trouble))

    def _trouble(self, error: Exception) -> StoreError | None:
        trouble = error if isinstance(error, StoreError) else named(error, self._path)
        if isinstance(trouble, StoreRefused):
            self._refusal = str(trouble)
        return trouble

    def _checkpoint(self) -> None:
        """Move the log into the file when it has grown, or is to be emptied. What is committed stays committed if that fails."""
        if not self._erased and self._db.total_changes - self._checkpointed < CHECKPOINT_ROWS:
            return
        try:
            mode = "TRUNCATE" if self._erased else "PASSIVE"
            busy = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]
        except sqlite3.Error as error:
            if self._trouble(error) is None:
                raise
            return
        self._checkpointed = self._db.total_changes
        self._erased = self._erased and bool(busy)  # somebody reads: with the next group again


def _tell(calls: Sequence[_Call]) -> None:
    for call in calls:
        call.tell()
