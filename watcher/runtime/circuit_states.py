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


async def save_open_circuits(store: Shards, health: Health) -> None:
    """Save the open circuits at the start, which replaces those of an earlier process, and after each change, until cancelled."""
    saved = None
    while True:
        text = open_circuits.dump(_open_circuits(health))
        if text != saved:
            await store.save_state(open_circuits.STATE, text, own=True)
            saved = text
        await anyio.sleep(CHECK_S)


def _open_circuits(health: Health) -> Iterator[OpenCircuit]:
    for component, condition in health.ready()[1].items():
        if not condition.ok and component.startswith("circuit:"):
            yield OpenCircuit(component, condition.reason, condition.since, condition.hint)
