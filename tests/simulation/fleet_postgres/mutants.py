"""Known bugs of the PostgreSQL store, planted one at a time: the stories must find each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from watcher.adapters.stores.postgres import adoption, owner_writes

LOCK = " FOR NO KEY UPDATE"

Patch = Callable[[pytest.MonkeyPatch], None]


def compare_no_lease(patch: pytest.MonkeyPatch) -> None:
    """Let every replica write."""
    patch.setattr(owner_writes.OwnerWrites, "_is_valid", lambda self, lease, owner: True)


def lock_no_lease(patch: pytest.MonkeyPatch) -> None:
    """Read the leases before a write without a lock."""
    patch.setattr(owner_writes, "_LOCK_LEASES", owner_writes._LOCK_LEASES.replace(LOCK, ""))


def lock_no_watch(patch: pytest.MonkeyPatch) -> None:
    """Read the watches before a commit without a lock."""
    patch.setattr(owner_writes, "_LOCK_WATCHES", owner_writes._LOCK_WATCHES.replace(LOCK, ""))


def forget_running_admissions(patch: pytest.MonkeyPatch) -> None:
    """Look only for watches of transactions that began after the previous reading, as if none was running then."""

    def unseen(self: Any, shard: int, server: str) -> list[Any]:
        return [(shard, self.after, adoption._LAST)]

    patch.setattr(adoption._Snapshot, "unseen", unseen)


@dataclass(frozen=True)
class StoreMutant:
    """A store with a bug."""

    seed: int
    """A seed whose story showed the bug. When it no longer does, the test searches for another one."""
    plant: Patch


STORE_MUTANTS: dict[str, StoreMutant] = {
    "the lease is not compared": StoreMutant(0, compare_no_lease),
    "leases are not locked": StoreMutant(0, lock_no_lease),
    "watches are not locked": StoreMutant(0, lock_no_watch),
    "running admissions are skipped": StoreMutant(0, forget_running_admissions),
}


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The store has this bug for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        STORE_MUTANTS[bug].plant(patch)
        yield
