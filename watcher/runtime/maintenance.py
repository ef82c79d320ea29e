"""Periodic work on the store: saves what was learned for the next start, and erases what is older than the retention."""

from __future__ import annotations

from contextlib import suppress

import anyio
import structlog

from watcher.core.polling.schedule import state_name
from watcher.core.polling.transitions import WatchSettings
from watcher.ports import Store
from watcher.runtime.clock import Clock
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller

log = structlog.get_logger("watcher.maintenance")

SAVE_S, PRUNE_S = 30.0, 600.0
"""Seconds between two saves of the learned state, and between two erasures."""


class Maintenance:
    """Saves and restores the pace and the cadence of each quota, and prunes the store by the retentions of `watch`."""

    def __init__(self, store: Store, pollers: PollerSet, watch: WatchSettings, clock: Clock) -> None:
        self._store = store
        self._pollers = pollers
        self._watch = watch
        self._clock = clock

    async def restore(self) -> None:
        """Start the paces of all pollers, and continue with what an earlier process learned."""
        for poller in self._pollers:
            await self.restore_poller(poller)

    async def restore_poller(self, poller: Poller) -> None:
        """Start the pace of one poller, and continue with what an earlier process learned. A text that cannot be read is ignored."""
        pace = await self._store.load_state(state_name("pace", *poller.of))
        cadence = await self._store.load_state(state_name("cadence", *poller.of))
        poller.policy.pace.start(self._clock.mono())
        if pace is not None:
            with suppress(ValueError):
                poller.policy.pace.restore(float(pace), self._clock.mono())
        if cadence is not None:
            poller.policy.cadence.restore(cadence)

    async def save(self) -> None:
        """Save what was learned so far, and the progress of the polls."""
        for poller in self._pollers.ready:
            await self._store.save_state(state_name("pace", *poller.of), repr(poller.policy.pace.rate))
            await self._store.save_state(state_name("cadence", *poller.of), poller.policy.cadence.dump())
            if poller.progress.changed:
                await self._store.save_state(state_name("progress", *poller.of), poller.progress.dump(), own=True)

    async def run_saves(self) -> None:
        """Save twice a minute, until cancelled."""
        while True:
            await anyio.sleep(SAVE_S)
            await self.save()

    async def run_prunes(self) -> None:
        """Erase every ten minutes, until cancelled."""
        while True:
            await self._prune(self._clock.wall())
            await anyio.sleep(PRUNE_S)

    async def _prune(self, now: float) -> None:
        events_retention = self._watch.dead_letter_retention
        erased = await self._store.prune(now - self._watch.retention, None if events_retention is None else now - events_retention)
        if erased.watches or erased.inputs:
            log.info("pruned", watches=erased.watches, dead_letters=erased.inputs)
        if erased.events:
            hint = "these events were never delivered: raise watch.dead_letter_retention to keep such events longer"
            log.warning("rejected_events_erased", events=erased.events, hint=hint)
