"""The current leases: which shards are new, which are lost, and which tasks they cover."""

from __future__ import annotations

import math

from tests.runtime.conftest import key
from tests.runtime.shared_store import SHARDS, names_in
from watcher.model import Lease
from watcher.runtime.leases import Leases, Renewal


def granted(*leases: tuple[int, int], duration_s: float = math.inf) -> list[Lease]:
    return [Lease(shard, epoch, duration_s) for shard, epoch in leases]


def test_a_first_claim_gains_all_its_leases() -> None:
    """Every lease is new, none is lost, and all are held."""
    leases, first = Leases(SHARDS), granted((0, 1), (2, 5))
    assert leases.update(first, 0.0) == Renewal(first, [], [])
    assert leases.held == {0: first[0], 2: first[1]}


def test_a_renewal_gains_and_loses_nothing() -> None:
    """The same shards under the same epochs stay adopted; only the end of the leases moves."""
    leases = Leases(SHARDS)
    leases.update(granted((0, 1), duration_s=15.0), 100.0)
    assert leases.update(granted((0, 1), duration_s=15.0), 105.0) == Renewal([], [], [])
    assert leases.until == 120.0


def test_a_shard_that_a_claim_does_not_return_is_lost() -> None:
    """It is not held any more, and its tasks are not owned."""
    leases = Leases(SHARDS)
    leases.update(granted((0, 1), (1, 1)), 0.0)
    assert leases.update(granted((1, 1)), 5.0) == Renewal([], [0], [])
    assert list(leases.held) == [1]
    assert not leases.owns(key(names_in(0, 1)[0]))
    assert leases.owns(key(names_in(1, 1)[0]))


def test_a_shard_under_another_epoch_is_lost_and_gained() -> None:
    """Another process owned it in between, so what is in memory about it is outdated."""
    leases, again = Leases(SHARDS), granted((0, 3))
    leases.update(granted((0, 1)), 0.0)
    assert leases.update(again, 5.0) == Renewal(again, [0], [])
    assert leases.holds(again[0])
    assert not leases.holds(Lease(0, 1))


def test_a_dropped_lease_is_not_gained_again() -> None:
    """A claim that was under way when a lease was dropped still grants it: it is unwanted. A later lease of the shard is gained."""
    leases, old, new = Leases(SHARDS), granted((0, 1)), granted((0, 2))
    leases.update(old, 0.0)
    leases.drop(0)
    assert leases.update(old, 5.0) == Renewal([], [], old)
    assert leases.held == {}
    assert leases.update(new, 10.0) == Renewal(new, [], [])


def test_a_lease_is_valid_from_before_its_claim_was_sent() -> None:
    """The end of the leases counts from the start of the claim; before a first claim it is in the past."""
    leases = Leases(SHARDS)
    assert not leases.may_start(0.0)
    leases.update(granted((0, 1), duration_s=15.0), 100.0)
    assert leases.until == 115.0


def test_nothing_starts_in_the_last_third_of_a_lease() -> None:
    """What begins before then can end before the lease does; leases without an end never stop a start."""
    leases = Leases(SHARDS)
    leases.update(granted((0, 1), duration_s=15.0), 100.0)
    assert leases.may_start(109.9)
    assert not leases.may_start(110.0)
    leases.update(granted((0, 1)), 100.0)
    assert leases.may_start(1e9)


def test_a_shard_that_is_handed_over_is_held_and_not_owned() -> None:
    """Its tasks are polled no more, and what is under way is still written under its lease; a renewal does not change that."""
    leases = Leases(SHARDS)
    leases.update(granted((0, 1), (1, 1)), 0.0)
    leases.leave(0)
    leases.update(granted((0, 1), (1, 1)), 5.0)
    assert not leases.owns(key(names_in(0, 1)[0]))
    assert set(leases.held) == {0, 1}
    assert leases.kept == [1]


def test_the_leases_to_write_under_are_always_the_current_ones() -> None:
    """A caller that keeps `held` sees each update, so a retry of a write never uses an older lease by accident."""
    leases = Leases(SHARDS)
    held = leases.held
    leases.update(granted((0, 1)), 0.0)
    leases.update(granted((1, 2)), 5.0)
    assert list(held) == [1]


def test_each_task_belongs_to_one_shard() -> None:
    """The shard of a key depends on the key and on the number of shards only."""
    leases = Leases(SHARDS)
    for shard in range(SHARDS):
        assert {leases.shard(key(name)) for name in names_in(shard, 5)} == {shard}
    assert Leases().shard(key("task-1")) == 0
