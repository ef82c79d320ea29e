"""Saves which circuits are open, so that `watcher explain` can name what holds the calls about a task."""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from watcher.core.polling import open_circuits
from watcher.core.polling.open_circuits import OpenCircuit
from watcher.ports import Shards
from watcher.runtime.health import Health

CHECK_S = 5.0
"""Seconds between two looks at the circuits."""
SAVE_AGAIN_S = 30.0
"""Seconds after which open circuits are saved again in a shared store, which removes them when the leases of this replica end."""


async def save_open_circuits(store: Shards, health: Health) -> None:
    """Save the open circuits at the start, which replaces those of an earlier process, and after each change, until cancelled."""
    saved, saved_at = None, 0.0
    while True:
        found = list(_open_circuits(health))
        text, now = open_circuits.dump(found), anyio.current_time()
        if text != saved or (found and store.renew_s is not None and now - saved_at >= SAVE_AGAIN_S):
            await store.save_state(open_circuits.STATE, text, own=True)
            saved, saved_at = text, now
        await anyio.sleep(CHECK_S)


def _open_circuits(health: Health) -> Iterator[OpenCircuit]:
    for component, condition in health.ready()[1].items():
        if not condition.ok and component.startswith("circuit:"):
            yield OpenCircuit(component, condition.reason, condition.since, condition.hint)
