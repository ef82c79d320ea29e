"""`ports.Operations` in a SQLite file."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from watcher.adapters.stores.sqlite import dead_letter_rows, owner_rows, watch_rows
from watcher.adapters.stores.sqlite.access import SqliteAccess
from watcher.errors import StoreUnavailable
from watcher.ports import CANCEL_PAGE, Requests
from watcher.query import Selection


class SqliteOperations(SqliteAccess):
    """Requests of operators, which the owner of the file reads."""

    _forgotten = 0
    """The number of the last erasure returned by `requests`, until its record is removed; then 0."""

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._file.write(partial(dead_letter_rows.mark, ids=ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return await self._file.write(partial(dead_letter_rows.purge, ids=ids), erases=True)

    async def forget(self, selection: Selection) -> int:
        return await self._file.write(partial(watch_rows.forget, selection=selection), erases=True)

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._file.write(partial(watch_rows.cancel, keys=keys))

    async def requests(self, after: str | None = None) -> Requests:
        last, keys = await self._file.read(partial(owner_rows.forgotten, after=self._forgotten))
        retries = await self._file.read(partial(dead_letter_rows.to_retry, after=after))
        cancelled = await self._file.read(partial(watch_rows.cancelled, limit=CANCEL_PAGE))
        if keys:  # returned before their records are removed, so that a full disk does not delay an erasure
            self._forgotten = last
        elif self._forgotten:
            with suppress(StoreUnavailable):  # the next call tries again, and this one only reads
                await self._file.write(partial(owner_rows.drop_forgotten, upto=self._forgotten), erases=True)
                self._forgotten = 0
        return Requests(keys, retries.items, retries.next, cancelled)
