"""A store of four shards that several replicas share, and the watches that these tests put into it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import count, islice

from tests.contracts.store_exam.facts import moved
from tests.runtime.conftest import EPOCH, MakeWorld, World, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.model import Claim, Event, Lease, Observation, Report, TaskRef, Watch, shard_of
from watcher.simulator.probe import SimulatedProbe

SHARDS = 4
RENEW_S = 5.0


class SharedStore(MemoryStore):
    """Grants the shards in `mine` to the replica under test; another replica may own the others."""

    renew_s: float | None = RENEW_S

    def __init__(self, mine: Collection[int] = range(SHARDS)) -> None:
        super().__init__(MemoryStoreSettings(), shards=SHARDS)
        self.durable = True
        self.mine = set(mine)

    async def claim(self, report: Report | None = None) -> Claim:
        return Claim([shard.claim() for shard in self.content.shards if shard.number in self.mine])

    def take_over(self, shard: int) -> Lease:
        """Let another replica take this shard. Returns its lease."""
        self.mine.discard(shard)
        self.content.shards[shard].release()
        return self.content.shards[shard].claim()

    def hand_back(self, shard: int) -> None:
        """Let the other replica release this shard, so that the next claim grants it again."""
        self.content.shards[shard].release()
        self.mine.add(shard)


def names_in(shard: int, number: int) -> list[str]:
    """Names of tasks whose keys are in this shard."""
    names = (f"task-{n}" for n in count())
    return list(islice((name for name in names if shard_of(key(name), SHARDS) == shard), number))


def new_watch(name: str) -> Watch:
    """A watch that was just admitted."""
    return Watch(TaskRef("speaker-search", ("abc123", name)), f"watch-of-{name}", EPOCH, EPOCH + 86_400)


async def add_undelivered_event(store: MemoryStore, name: str) -> Watch:
    """Admit a task, and commit a status of it that no sink has settled. Returns the watch."""
    (watch,) = await store.admit([new_watch(name)])
    change = moved(watch, "IN_QUEUE", at=EPOCH)
    await store.commit([change], {lease.shard: lease for lease in [shard.claim() for shard in store.content.shards]})
    return change.watch


class ListingProbe(SimulatedProbe):
    """Lists the shard of the task of each call."""

    def __init__(self, like: SimulatedProbe) -> None:
        super().__init__(like.service)
        self.polled: list[int] = []

    async def observe_one(self, ref: TaskRef) -> Observation:
        self.polled.append(shard_of(ref.key, SHARDS))
        return await super().observe_one(ref)


def shared_world(world: MakeWorld, store: MemoryStore, **scenario: object) -> tuple[World, ListingProbe]:
    """A world with this store, whose service has a large quota and no provisional status, and its probe."""
    w = world(store=store, finite=False, **{"quota": 1000.0, "partial": 0, **scenario})
    w.probe = probe = ListingProbe(w.probe)
    return w, probe


def shards_of(events: Sequence[Event]) -> set[int]:
    return {shard_of(event.key, SHARDS) for event in events}


NAMES = {shard: names_in(shard, 3) for shard in range(SHARDS)}
"""Three tasks of each shard."""
ALL_NAMES = [name for names in NAMES.values() for name in names]


def keys_in(shard: int) -> set[str]:
    """The keys of the tasks in `NAMES`."""
    return {key(name) for name in NAMES[shard]}
