"""Group commits: all calls that are queued for a lane become one transaction, so they share its round trips and its sync.

A call returns only after COMMIT. When one call of a group fails by its own mistake, the group is rolled back and each
call runs in its own transaction, so the others succeed. A call of which the lease is not valid is left out of the
transaction, and the others are committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import anyio

from watcher.adapters.stores.postgres.connections import Connection, Session
from watcher.errors import StoreError, StoreRefused

MAX_GROUP = 500
"""Calls in one transaction."""

C = TypeVar("C")
Group = Callable[[Connection, Sequence[C]], Awaitable[Sequence[Any]]]
"""Writes calls in one transaction. Returns for each call its result, or the StoreError of that call."""


@dataclass(slots=True, eq=False)
class _Queued(Generic[C]):
    call: C
    outcome: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def finish(self, result: Any) -> None:
        if self.outcome.done():  # the caller was cancelled; the write stays
            return
        if isinstance(result, BaseException):
            self.outcome.set_exception(result)
        else:
            self.outcome.set_result(result)


class Lane(Generic[C]):
    """Writes calls in their order, one group at a time, on a connection of its own."""

    def __init__(self, session: Session, group: Group[C], place: str) -> None:
        self._session = session
        self._group = group
        self._place = place
        self._queue: list[_Queued[C]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, call: C) -> Any:
        """Write one call, with those that are queued at the same time. Returns its result after the commit.

        When the caller is cancelled, the call is done as a whole or not at all.
        """
        if self._closed:
            raise StoreRefused(f"{self._place}: the store is closed")
        queued = _Queued(call)
        self._queue.append(queued)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())
        return await queued.outcome

    async def close(self) -> None:
        """Finish the queued calls, then close the connection."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._writing is not None:
                await asyncio.wait([self._writing])
            await self._session.close()

    async def _write_all(self) -> None:
        try:
            while self._queue:
                group, self._queue = self._queue[:MAX_GROUP], self._queue[MAX_GROUP:]
                await self._write(group)
        finally:
            self._writing = None

    async def _write(self, group: Sequence[_Queued[C]]) -> None:
        try:
            results = await self._session.run(lambda db: self._group(db, [queued.call for queued in group]))
        except Exception as error:  # noqa: BLE001 - it is raised in its caller, and the lane continues for the others
            await self._fail(group, error)
        else:
            for queued, result in zip(group, results, strict=True):
                queued.finish(result)

    async def _fail(self, group: Sequence[_Queued[C]], error: Exception) -> None:
        if len(group) > 1 and not isinstance(error, StoreError):
            for queued in group:
                await self._write([queued])
            return
        for queued in group:
            queued.finish(type(error)(str(error)) if isinstance(error, StoreError) else error)
