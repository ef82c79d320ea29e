"""The part of the store port for what operators request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from watcher.model import DeadLetter
from watcher.query import Selection


@dataclass(frozen=True, slots=True)
class Requests:
    """What operators requested: keys of tasks that were erased, and one page of the dead letters to retry."""

    forgotten: Sequence[str] = ()
    retries: Sequence[DeadLetter] = ()
    next: str | None = None
    """Continues after these retries; None when there are no more."""


RETRY_PAGE = 100
"""Dead letters in one page of `requests`: a body may have 1 MiB."""


class Operations(Protocol):
    """What operators request from any process, and how the owner reads the requests."""

    async def retry(self, ids: Sequence[str]) -> int:
        """Mark these dead letters for a retry by the owner. Returns how many exist."""
        ...

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        """Erase these dead letters, or all of them. Returns how many."""
        ...

    async def forget(self, selection: Selection) -> int:
        """Erase the selected watches with their events and dead letters. Returns the number of watches."""
        ...

    async def requests(self, after: str | None = None) -> Requests:
        """For the owner: erasures since the last call, and dead letters that are marked for a retry, in order of arrival.

        On a shared store, each replica gets those of its own shards; `shard_of` the id of the dead letter of an input is
        its shard. At most `RETRY_PAGE` of them, after the `next` of the previous page. A mark goes away when the dead
        letter is purged or added again.
        """
        ...
