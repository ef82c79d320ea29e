"""Sinks that are no longer configured, and for which the store still has events. With such sinks, the start fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from watcher.core.delivery.leftovers import leftovers
from watcher.model import Leftover
from watcher.ports import Queries


async def removed_sinks(store: Queries, sinks: Collection[str]) -> Mapping[str, Leftover]:
    """By name, what the store has for each sink that is not one of these."""
    return leftovers(sinks, await store.backlog(), await store.count_dead_letters())
