"""One poller for each quota, so that what throttles the one slows no other. Decides nothing: it knows whose a watch is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import anyio
import structlog

from watcher.kinds import KINDS
from watcher.model import Watch
from watcher.runtime.polling import Poller

log = structlog.get_logger("watcher.polling")


class PollerSet:
    """All open watches, whatever quota their calls are counted against."""

    def __init__(self, poller_set: Sequence[Poller]) -> None:
        self._by_quota = {poller.quota.name: poller for poller in poller_set}

    def __iter__(self) -> Iterator[Poller]:
        return iter(self._by_quota.values())

    def __len__(self) -> int:
        return sum(len(poller.pending) for poller in self)

    def __contains__(self, key: str) -> bool:
        return any(key in poller.pending for poller in self)

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return sum(poller.pending.in_flight for poller in self)

    @property
    def counts(self) -> Counter[tuple[str, str | None]]:
        """Watches by (kind, status)."""
        return sum((poller.pending.counts for poller in self), Counter())

    def watch(self, watch: Watch) -> None:
        """Begin to ask about it, now. One of a kind that another version knew stays in the store, for that version."""
        kind = KINDS.get(watch.ref.kind)
        if kind is None:
            log.warning("unknown_kind", kind=watch.ref.kind, hint="another version took it in: it waits in the store for that one")
            return
        self._by_quota[kind.quota.name].watch(watch)

    def hint(self, key: str) -> bool:
        """Something happened to it: ask now. False when it is not watched."""
        return any(poller.hint(key) for poller in self)

    def watched(self, key: str) -> str | None:
        """The id of the watch under this key, None when there is none."""
        return next((found for poller in self if (found := poller.watched(key)) is not None), None)

    def forget(self, key: str, watch_id: str) -> None:
        """Ask no more about the task by this watch. Another watch of it, begun since, goes on."""
        for poller in self:
            poller.forget(key, watch_id)

    def stop(self) -> None:
        """Take nothing more up. Calls in flight finish, and `run` returns."""
        for poller in self:
            poller.stop()

    async def run(self) -> None:
        """Until `stop`."""
        async with anyio.create_task_group() as tasks:
            for poller in self:
                tasks.start_soon(poller.run, name=f"polling {poller.quota.name}")
