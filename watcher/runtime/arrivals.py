"""Follows what other replicas do: picks up the watches that they admit to our shards, polls the tasks about which they received
notifications, and claims the shards that they give back.

A signal of the store makes that happen at once. Signals may be lost, so the store is also read regularly.
"""

from __future__ import annotations

import anyio
import structlog

from watcher.errors import StoreUnavailable
from watcher.ports import Signals, Store
from watcher.runtime.leases import Leases
from watcher.runtime.ownership import Ownership
from watcher.runtime.poller_set import PollerSet

log = structlog.get_logger("watcher.ownership")

CATCH_UP_S = 5.0
"""Seconds between two reads without a signal."""
PAUSE_S = 1.0
"""Seconds until the next attempt to wait for signals, after one that failed."""


class Arrivals:
    """The loop of a process on a shared store. With a single owner, there is nobody to follow."""

    def __init__(self, store: Store, leases: Leases, ownership: Ownership, pollers: PollerSet) -> None:
        self._store = store
        self._leases = leases
        self._ownership = ownership
        self._pollers = pollers
        self._deaf = False
        """The last attempt to wait for signals failed."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while self._store.renew_s is not None:
            signals = Signals()
            with anyio.move_on_after(CATCH_UP_S):
                signals = await self._wait()
            if signals.released:
                self._ownership.wake()
            with self._pollers.reads.begin() as read:
                async for watches in self._store.arrivals(list(self._leases.held.values())):
                    self._pollers.adopt(watches, read, new=True)
            for key in signals.notified:
                self._pollers.poll_now(key)

    async def _wait(self) -> Signals:
        try:
            signals = await self._store.wait()
        except StoreUnavailable as error:
            if not self._deaf:
                hint = f"new tasks from other replicas are found within {CATCH_UP_S:g} s instead of at once; waiting is tried again"
                log.warning("signals_lost", reason=str(error), hint=hint)
            self._deaf = True
            await anyio.sleep(PAUSE_S)
            return Signals()
        self._deaf = False
        return signals
