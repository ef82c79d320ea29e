"""`ports.Operations` in memory."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from watcher.adapters.stores.memory.access import MemoryAccess
from watcher.model import DeadLetter, shard_of
from watcher.ports import CANCEL_PAGE, Requests
from watcher.query import Selection


class MemoryOperations(MemoryAccess):
    """Requests of operators, which the owners of the shards read."""

    async def retry(self, ids: Sequence[str]) -> int:
        return self.content.dead_letters.mark(ids)

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return self.content.dead_letters.purge(ids)

    async def forget(self, selection: Selection) -> int:
        return self.content.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return self.content.cancel(keys)

    async def requests(self, after: str | None = None) -> Requests:
        return self._requests(range(self.shards), after)

    def _requests(self, shards: Collection[int], after: str | None) -> Requests:
        forgotten = self.content.take_forgotten(shards)
        retries = self.content.dead_letters.to_retry(after, lambda letter: self._shard_of_letter(letter) in shards)
        cancelled = dict(islice(self.content.cancelled(shards).items(), CANCEL_PAGE))
        return Requests(forgotten, retries.items, retries.next, cancelled)

    def _shard_of_letter(self, letter: DeadLetter) -> int:
        return letter.shard if letter.what == "event" else shard_of(letter.id, self.shards)
