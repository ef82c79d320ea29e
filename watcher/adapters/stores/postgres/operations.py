"""`ports.Operations` in PostgreSQL."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from watcher.adapters.stores.postgres import dead_letter_rows, erasure_rows, state_rows, watch_rows
from watcher.adapters.stores.postgres.access import PostgresAccess
from watcher.errors import StoreUnavailable
from watcher.ports import CANCEL_PAGE, Requests
from watcher.query import Selection


class PostgresOperations(PostgresAccess):
    """Requests of operators. Each replica reads those about its own shards."""

    _forgotten: frozenset[int] = frozenset()
    """The erasures returned by `requests`, until their records are removed."""

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._read(partial(dead_letter_rows.mark, ids=ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        if ids is None:
            return await self._in_pieces(partial(dead_letter_rows.purge, ids=None))
        return await self._read(partial(dead_letter_rows.purge, ids=ids))

    async def forget(self, selection: Selection) -> int:
        watches = await self._in_pieces(partial(erasure_rows.forget_watches, selection=selection))
        await self._in_pieces(partial(erasure_rows.forget_dead_letters, selection=selection))
        return watches

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._read(partial(watch_rows.cancel, keys=keys)) if keys else 0

    async def requests(self, after: str | None = None) -> Requests:
        if self._forgotten:  # returned before their records are removed, so that none is lost
            with suppress(StoreUnavailable):  # the next call tries again
                await self._read(partial(state_rows.drop_forgotten, numbers=self._forgotten))
                self._forgotten = frozenset()
        erased = await self._read(partial(state_rows.forgotten, shards=sorted(self._owned), read=self._forgotten))
        retries = await self._read(partial(dead_letter_rows.to_retry, after=after, shards=sorted(self._owned)))
        cancelled = await self._read(partial(watch_rows.cancelled, shards=sorted(self._owned), limit=CANCEL_PAGE))
        self._forgotten |= {number for number, _ in erased}
        return Requests([key for _, key in erased], retries.items, retries.next, cancelled)
