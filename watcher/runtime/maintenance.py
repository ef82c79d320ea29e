"""Periodic work on the store: saves what was learned for the next start, and the open circuits for `watcher explain`; and
erases what is older than the retention.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import anyio
import structlog

from watcher.core.polling import open_circuits
from watcher.core.polling.open_circuits import OpenCircuit
from watcher.core.polling.schedule import state_name
from watcher.ports import Store
from watcher.runtime.instruments import Instruments
from watcher.runtime.poller_set import PollerSet

log = structlog.get_logger("watcher.maintenance")

SAVE_S, PRUNE_S = 30.0, 600.0
"""Seconds between two saves of the learned state, and between two erasures."""
CIRCUITS_S = 5.0
"""Seconds between two looks at the open circuits, which are saved when they have changed."""


class Maintenance:
    """Saves and restores the pace and the cadence of each quota, and prunes the store. `retention` is in seconds."""

    def __init__(self, store: Store, pollers: PollerSet, retention: float, instruments: Instruments) -> None:
        self._store = store
        self._pollers = pollers
        self._retention = retention
        self._clock = instruments.clock
        self._health = instruments.health

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

    async def run_circuit_saves(self) -> None:
        """Save which circuits are open, at the start and after each change, until cancelled: `watcher explain` names them."""
        saved = None
        while True:
            text = open_circuits.dump(self._open_circuits())
            if text != saved:
                await self._store.save_state(open_circuits.STATE, text)
                saved = text
            await anyio.sleep(CIRCUITS_S)

    def _open_circuits(self) -> Iterator[OpenCircuit]:
        for component, condition in self._health.ready()[1].items():
            if not condition.ok and component.startswith("circuit:"):
                yield OpenCircuit(component, condition.reason, condition.since, condition.hint)

    async def run_prunes(self) -> None:
        """Erase every ten minutes, until cancelled."""
        while True:
            erased = await self._store.prune(self._clock.wall() - self._retention)
            if erased:
                log.info("pruned", watches=erased)
            await anyio.sleep(PRUNE_S)
