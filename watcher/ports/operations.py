"""The part of the store port for what operators request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from watcher.model import DeadLetter
from watcher.query import Selection


@dataclass(frozen=True, slots=True)
class Requests:
    """What operators requested: erased tasks, one page of the dead letters to retry, and some of the tasks to cancel."""

    forgotten: Sequence[str] = ()
    retries: Sequence[DeadLetter] = ()
    next: str | None = None
    """Continues after these retries; None when there are no more."""
    cancelled: Mapping[str, str] = field(default_factory=dict)
    """By key, the id of the open watch that is to end. The key alone could match a watch that was added later."""


RETRY_PAGE = 100
"""Dead letters in one page of `requests`: a body may have 1 MiB."""
CANCEL_PAGE = 1000
"""Cancelled watches in one answer of `requests`."""


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

    async def cancel(self, keys: Sequence[str]) -> int:
        """Request that these tasks are no longer watched; their owners end the watches. Returns how many of them have an open watch.

        The request is kept with the watch. A task that is submitted again after its erasure is not cancelled.
        """
        ...

    async def requests(self, after: str | None = None) -> Requests:
        """For the owner: erasures since the last call, dead letters that are marked for a retry, and cancelled watches.

        On a shared store, each replica gets those of its own shards; `shard_of` the id of the dead letter of an input is
        its shard. They come in order of arrival, at most `RETRY_PAGE` of them, after the `next` of the previous page. A
        mark goes away when the dead letter is purged or added again.

        Cancelled watches are returned by each call until they have ended, the earliest admission first, at most `CANCEL_PAGE`.
        """
        ...
