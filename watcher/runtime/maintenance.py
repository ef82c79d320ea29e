"""Periodic work on the store: saves what was learned for the next start, and erases what is older than the retention."""

from __future__ import annotations

from contextlib import suppress

import anyio
import structlog

from watcher.core.polling.schedule import state_name
from watcher.ports import Store
from watcher.runtime.clock import Clock
from watcher.runtime.poller_set import PollerSet

log = structlog.get_logger("watcher.maintenance")

SAVE_S, PRUNE_S = 30.0, 600.0
"""Seconds between two saves of the learned state, and between two erasures."""


class Maintenance:
    """Saves and restores the pace and the cadence of each quota, and prunes the store. `retention` is in seconds."""

    def __init__(self, store: Store, pollers: PollerSet, retention: float, clock: Clock) -> None:
        self._store = store
        self._pollers = pollers
        self._retention = retention
        self._clock = clock

    async def restore(self) -> None:
        """Start the paces, and continue with what an earlier process learned. A text that cannot be read is ignored."""
        for poller in self._pollers:
            poller.policy.pace.start(self._clock.mono())
            pace = await self._store.load_state(state_name("pace", poller.quota))
            if pace is not None:
                with suppress(ValueError):
                    poller.policy.pace.restore(float(pace), self._clock.mono())
            cadence = await self._store.load_state(state_name("cadence", poller.quota))
            if cadence is not None:
                poller.policy.cadence.restore(cadence)

    async def save(self) -> None:
        """Save what was learned so far, and how far the polls are."""
        for poller in self._pollers:
            await self._store.save_state(state_name("pace", poller.quota), repr(poller.policy.pace.rate))
            await self._store.save_state(state_name("cadence", poller.quota), poller.policy.cadence.dump())
            if poller.progress.changed:
                await self._store.save_state(state_name("progress", poller.quota), poller.progress.dump())

    async def run_saves(self) -> None:
        """Save twice a minute, until cancelled."""
        while True:
            await anyio.sleep(SAVE_S)
            await self.save()

    async def run_prunes(self) -> None:
        """Erase every ten minutes, until cancelled."""
        while True:
            erased = await self._store.prune(self._clock.wall() - self._retention)
            if erased:
                log.info("pruned", watches=erased)
            await anyio.sleep(PRUNE_S)
