"""Carries out requests of operators from any process: erasures, cancellations, and retries of dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from watcher.model import DeadLetter
from watcher.ports import Store
from watcher.runtime.acks import Acknowledger
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.intake import Intake
from watcher.runtime.leases import Leases
from watcher.runtime.open_reads import OpenRead
from watcher.runtime.poller_set import PollerSet

log = structlog.get_logger("watcher.operator")

CHECK_S = 1.0
"""Seconds between two checks for requests."""


class OperatorRequests:
    """Reads requests every second and applies them to the running loops."""

    def __init__(
        self, store: Store, leases: Leases, pollers: PollerSet, sink_workers: Sequence[SinkWorker], acks: Acknowledger, intake: Intake
    ) -> None:
        self._store = store
        self._leases = leases
        self._pollers = pollers
        self._sink_workers = {worker.sink.name: worker for worker in sink_workers}
        self._acks = acks
        self._intake = intake
        self._forgotten: dict[str, frozenset[OpenRead]] = {}
        """Erased tasks, with the reads that were under way then: their replies may bring the old watches back."""

    async def run(self) -> None:
        """Check for requests until cancelled."""
        after = None
        while True:
            await self._forget_again()
            requests = await self._store.requests(after)
            self._pollers.cancel(requests.cancelled)
            for key in requests.forgotten:
                await self._forget(key)
                if under_way := self._pollers.reads.under_way:
                    self._forgotten[key] = under_way
            begun = [await self._retry(dead_letter) for dead_letter in requests.retries]
            after = requests.next
            if after is None or not any(begun):  # else the next page at once: thousands may be marked
                await anyio.sleep(CHECK_S)

    async def _forget_again(self) -> None:
        """Stop polling the erased tasks that an earlier read has brought back, now that it is over."""
        under_way = self._pollers.reads.under_way
        for key in [key for key, earlier in self._forgotten.items() if not earlier & under_way]:
            del self._forgotten[key]
            await self._forget(key)

    async def _forget(self, key: str) -> None:
        """An operator erased this task: do not poll it, deliver its events, or wait for it.

        It may have been submitted again since. So the present watch and positions are noted before the store
        is read, and only those are dropped: what came later belongs to another watch. That watch may not be polled yet,
        because the one that is erased now was in its place.
        """
        shard = self._leases.shard(key)
        watched = self._pollers.watched(key)
        positions = {name: worker.position(shard) for name, worker in self._sink_workers.items()}
        with self._pollers.reads.begin() as read:
            existing = await self._store.task(key)
            kept = {event.id for event in await self._store.task_events(key)}
            if watched is not None and (existing is None or existing.id != watched):
                self._pollers.forget(key, watched)
            if existing is not None and existing.open:
                self._pollers.adopt([existing], read, new=True)
        for name, worker in self._sink_workers.items():
            worker.forget(key, positions[name], kept)
        if existing is None:
            self._acks.erased(key)

    async def _retry(self, dead_letter: DeadLetter) -> bool:
        """Begin a retry. False where that was done earlier, or must wait: the dead letter stays marked, and comes again."""
        if dead_letter.what == "input":
            await self._intake.retry(dead_letter)
            return True
        if dead_letter.origin in self._sink_workers:
            return self._sink_workers[dead_letter.origin].retry(dead_letter)
        await self._store.add_dead_letters([dead_letter])  # withdraws the request, which would be returned every second
        hint = "configure the sink again, or purge the dead letter"
        log.warning("no_such_sink", sink=dead_letter.origin, dead_letter=dead_letter.id, hint=hint)
        return True
