"""Known bugs of the PostgreSQL store, planted one at a time: the stories must find each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from tests.simulation.fleet.story import FleetStory, FleetTrouble, Life, draw_fleet
from watcher.adapters.stores.postgres import adoption, owner_writes

LOCK = " FOR NO KEY UPDATE"
SLOW_S = 1.0
"""The longest time of each way to the store; a fourth of it for each round trip of a transaction."""

Patch = Callable[[pytest.MonkeyPatch], None]


def compare_no_lease(patch: pytest.MonkeyPatch) -> None:
    """Let every replica write."""
    patch.setattr(owner_writes.OwnerWrites, "_is_valid", lambda self, lease, owner: True)


def lock_no_lease(patch: pytest.MonkeyPatch) -> None:
    """Read the leases before a write without a lock."""
    patch.setattr(owner_writes, "_LOCK_LEASES", owner_writes._LOCK_LEASES.replace(LOCK, ""))


def forget_running_admissions(patch: pytest.MonkeyPatch) -> None:
    """Look only for watches of transactions that began after the previous reading, as if none was running then."""

    def unseen(self: Any, shard: int, server: str) -> list[Any]:
        return [(shard, self.after, adoption._LAST)]

    patch.setattr(adoption._Snapshot, "unseen", unseen)


def without_new_owners(fleet: FleetStory) -> FleetStory:
    """Every replica runs to the end: a new owner of a shard reads everything again."""
    return replace(fleet, lives=tuple(Life(replica, 0.0, math.inf, "") for replica in range(len(fleet.skews))), troubles=())


def with_many_takeovers(fleet: FleetStory) -> FleetStory:
    """The calls of one replica hang again and again, for about as long as its leases last, over a slow network."""
    rng = Random(fleet.story.seed)
    troubles = tuple(FleetTrouble("hanging", n % 2, 10.0 + 20 * n, rng.uniform(10, 16), 1.0) for n in range(12))
    return replace(without_new_owners(fleet), story=replace(fleet.story, disk_s=SLOW_S), troubles=troubles)


@dataclass(frozen=True)
class StoreMutant:
    """A store with a bug."""

    seed: int
    """A seed whose story showed the bug. When it no longer does, the test searches for another one."""
    plant: Patch
    change: Callable[[FleetStory], FleetStory] = lambda fleet: fleet
    """Makes what the bug needs more likely."""


STORE_MUTANTS: dict[str, StoreMutant] = {
    "the lease is not compared": StoreMutant(5, compare_no_lease),
    "leases are not locked": StoreMutant(0, lock_no_lease, with_many_takeovers),
    "running admissions are skipped": StoreMutant(0, forget_running_admissions, without_new_owners),
}


def story_of(bug: str, seed: int) -> FleetStory:
    """The story of this seed in which the bug is searched."""
    return STORE_MUTANTS[bug].change(draw_fleet(seed))


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The store has this bug for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        STORE_MUTANTS[bug].plant(patch)
        yield
