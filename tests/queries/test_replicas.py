"""What a list of replicas says is wrong, and how it names shards."""

from __future__ import annotations

import json

import pytest

from watcher.adapters.stores.memory.replica import SharedMemory
from watcher.model import QuotaUse, Replica, Report
from watcher.queries.replicas import ReplicaList, living_replicas, ranges

RENEW_S = 5.0


def replica(name: str, shards: range, *, renewed_s_ago: float = 1.0, version: str = "1.0") -> Replica:
    return Replica(name, 1_800_000_000.0, renewed_s_ago, 15.0 - renewed_s_ago, shards, Report(version, len(shards)))


def listed(*replicas: Replica, shards: int = 8) -> ReplicaList:
    return ReplicaList(replicas, shards, RENEW_S)


def test_replicas_that_own_everything_are_no_trouble() -> None:
    """Two replicas of one version that renewed in time and own all shards: nothing is wrong."""
    found = listed(replica("a", range(4)), replica("b", range(4, 8), renewed_s_ago=9.9))
    assert (found.unowned, found.trouble) == ([], [])


def test_shards_without_an_owner_are_named() -> None:
    """A sentence has their number and their ranges."""
    found = listed(replica("a", range(1, 4)), replica("b", range(5, 7)))
    assert found.unowned == [0, 4, 7]
    (trouble,) = found.trouble
    assert trouble.startswith("3 of 8 shards have no owner (0, 4, 7)")


def test_without_a_replica_nothing_works() -> None:
    """Where nobody is alive, the one sentence says that, and not which shards have no owner."""
    found = listed()
    assert found.unowned == list(range(8))
    assert [trouble.partition(":")[0] for trouble in found.trouble] == ["no replica is alive"]


def test_a_replica_that_missed_two_renewals_is_named() -> None:
    """A replica is late after twice the interval of renewals, and the sentence says when it loses its shards."""
    found = listed(replica("a", range(4), renewed_s_ago=10.1), replica("b", range(4, 8), renewed_s_ago=10.0))
    (trouble,) = found.trouble
    assert trouble.startswith("a has not renewed its leases for 10 s: it loses its shards in 5 s")


def test_different_versions_are_named() -> None:
    """Each version has the replicas that run it."""
    found = listed(replica("a", range(3)), replica("b", range(3, 6), version="1.1"), replica("c", range(6, 8)))
    (trouble,) = found.trouble
    assert "(1.0: a, c; 1.1: b)" in trouble


def test_more_replicas_than_shards_are_too_many() -> None:
    """The number of replicas that can own nothing is given; as many replicas as shards are no trouble."""
    both = replica("a", range(1)), replica("b", range(1, 2))
    assert listed(*both, shards=2).trouble == []
    (trouble,) = listed(*both, replica("c", range(0)), shards=2).trouble
    assert trouble.startswith("there are 3 replicas and 2 shards, so 1 can own none")


@pytest.mark.parametrize(("shards", "expected"), [([], []), ([3], ["3"]), ([0, 1, 2, 5, 7, 8], ["0-2", "5", "7-8"]), (range(64), ["0-63"])])
def test_shards_are_named_as_ranges(shards: list[int], expected: list[str]) -> None:
    """Neighbors are one range; a shard alone is its number."""
    assert ranges(shards) == expected


async def test_the_store_tells_who_is_alive() -> None:
    """Replicas that have claimed are listed with what they reported; the JSON form has no other types than JSON has."""
    now = 1_800_000_000.0
    shared = SharedMemory(4, lambda: now)
    for name in ("b", "a"):
        await shared.replica(name).claim(Report("1.0", 2, {"voice-tone": QuotaUse(3.5, 20, 0.5, 2)}))
    reader = shared.replica("reader")
    await reader.attach()
    now += 3.0
    found = await living_replicas(reader)
    assert [each.name for each in found.replicas] == ["a", "b"]
    assert (found.shards, found.renew_s) == (4, shared.renew_s)
    form = json.loads(json.dumps(found.as_json()))
    assert form["replicas"][1] == {
        "name": "b",
        "version": "1.0",
        "started_at": "2027-01-15T08:00:00.000Z",
        "renewed_s_ago": 3.0,
        "expires_in_s": 12.0,
        "shards": 4,
        "adopted": 2,
        "shard_ranges": ["0-3"],
        "quotas": {"voice-tone": {"rate": 3.5, "watches": 20, "lateness_s": 0.5, "sharers": 2}},
    }
    assert (form["shards"], form["unowned"], form["unowned_ranges"], form["trouble"]) == (4, 0, [], [])
