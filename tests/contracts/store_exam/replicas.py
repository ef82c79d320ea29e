"""The exam of shared stores: several replicas on the same content, at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import anyio
import pytest

from tests.contracts.store_exam.facts import a_dead_letter, a_watch, moved
from watcher.core.ownership.fair_share import fair_share
from watcher.core.ownership.grace import GRACE_SHARE
from watcher.errors import Fenced, StoreRefused
from watcher.model import Lease, QuotaUse, Report, Watch, shard_of
from watcher.ports import Store
from watcher.query import Selection


class SharedStorage(Protocol):
    """The content of a shared store, with the clock by which its leases end."""

    lease_s: float

    def replica(self, name: str) -> Store:
        """The store of another replica, not open."""
        ...

    async def advance(self, seconds: float) -> None:
        """Let this much time pass at the store."""
        ...


async def held(store: Store) -> dict[int, Lease]:
    """The leases of a replica after a renewal."""
    return {lease.shard: lease for lease in (await store.claim()).leases}


def in_shards(store: Store, shards: Sequence[int], number: int = 1) -> list[Watch]:
    """Watches of tasks in these shards, this many of each."""
    found: dict[int, list[Watch]] = {shard: [] for shard in shards}
    n = 0
    while any(len(watches) < number for watches in found.values()):
        watch = a_watch(f"t{n}")
        shard = shard_of(watch.key, store.shards)
        if shard in found and len(found[shard]) < number:
            found[shard].append(watch)
        n += 1
    return [watch for watches in found.values() for watch in watches]


async def arrivals(store: Store, leases: dict[int, Lease]) -> set[str]:
    return {watch.key async for watches in store.arrivals(list(leases.values())) for watch in watches}


async def loaded(store: Store, leases: dict[int, Lease]) -> set[str]:
    return {watch.key for lease in leases.values() async for watches in store.load(lease) for watch in watches}


class SharedStoreExam:
    """Subclasses have the fixture `shared`."""

    @pytest.fixture
    async def stores(self, shared: SharedStorage) -> AsyncIterator[list[Store]]:
        """Three replicas, open; none has claimed anything."""
        stores = [shared.replica(name) for name in "abc"]
        for store in stores:
            await store.open(["bus"])
        yield stores
        for store in stores:
            await store.close()

    async def balanced(self, stores: Sequence[Store]) -> list[dict[int, Lease]]:
        """Claim and give back until each replica has its share. Returns their leases."""
        for _ in range(3):
            for store in stores:
                claim = await store.claim()
                await store.release(list(claim.leases)[len(claim.leases) - claim.surplus :])
        return [await held(store) for store in stores]

    # --- sinks -----------------------------------------------------------------------------------

    async def test_no_sink_is_removed_while_others_deliver_to_it(self, stores: list[Store], shared: SharedStorage) -> None:
        """A replica without a sink of the running ones does not start, also with `drop`, and they still deliver to this sink."""
        (lease, *_) = (await stores[0].claim()).leases
        for drop in ((), ("bus",)):
            with pytest.raises(StoreRefused, match="bus"):
                await shared.replica("d").open(["other"], drop)
        (watch,) = in_shards(stores[0], [lease.shard])
        await stores[0].admit([watch])
        await stores[0].commit([moved(watch)], {lease.shard: lease})
        assert len(await stores[0].read_outbox("bus", lease.shard, 0, 10)) == 1

    async def test_a_sink_can_be_added_while_others_run(self, stores: list[Store], shared: SharedStorage) -> None:
        """A replica with one more sink starts beside running ones."""
        await stores[0].claim()
        store = shared.replica("d")
        await store.open(["bus", "other"])
        assert set(await store.backlog()) == {"bus", "other"}
        await store.close()

    async def test_a_sink_can_be_removed_when_the_leases_have_ended(self, stores: list[Store], shared: SharedStorage) -> None:
        """A replica that does not renew its leases keeps no sink, and does not register again without its sink."""
        await stores[0].claim()
        await shared.advance(shared.lease_s + 1)
        store = shared.replica("d")
        await store.open(["other"])
        await store.claim()
        with pytest.raises(StoreRefused, match="bus"):
            await stores[0].claim()
        await store.close()

    # --- shares ----------------------------------------------------------------------------------

    async def test_leases_end_and_are_renewed_more_often(self, stores: list[Store], shared: SharedStorage) -> None:
        """Each lease of a claim has the same duration, and there is time for two renewals within it."""
        claim = await stores[0].claim()
        assert {lease.duration_s for lease in claim.leases} == {shared.lease_s}
        assert stores[0].renew_s is not None
        assert 2 * stores[0].renew_s < shared.lease_s

    async def test_one_replica_claims_all_shards(self, stores: list[Store]) -> None:
        """While no other replica is there, every shard is its own, and none is too many."""
        claim = await stores[0].claim()
        assert [lease.shard for lease in claim.leases] == list(range(stores[0].shards))
        assert claim.surplus == 0
        assert [replica.name for replica in claim.replicas] == [claim.me]

    async def test_a_renewal_keeps_the_epochs(self, stores: list[Store]) -> None:
        """The same leases come back from each claim."""
        assert await held(stores[0]) == await held(stores[0])

    async def test_a_second_replica_waits_for_its_share(self, stores: list[Store]) -> None:
        """It gets nothing while all shards are owned; the first one learns how many to give back, and then the second one claims them."""
        await stores[0].claim()
        assert (await stores[1].claim()).leases == []
        claim = await stores[0].claim()
        assert claim.surplus == stores[0].shards - fair_share(stores[0].shards, [r.name for r in claim.replicas], claim.me)
        await stores[0].release(list(claim.leases)[-claim.surplus :])
        assert len((await stores[1].claim()).leases) == claim.surplus

    async def test_three_replicas_share_all_shards(self, stores: list[Store]) -> None:
        """Each shard has one owner, and no two replicas differ by more than one shard."""
        leases = await self.balanced(stores)
        assert sorted(shard for each in leases for shard in each) == list(range(stores[0].shards))
        sizes = [len(each) for each in leases]
        assert max(sizes) - min(sizes) <= 1

    async def test_claims_at_once_give_each_shard_to_one_replica(self, stores: list[Store]) -> None:
        """Replicas that claim at the same moment never get the same shard."""
        for store in stores:
            await store.claim()
        for store in stores:
            await store.release(list((await held(store)).values()))
        found: list[int] = []

        async def claim(store: Store) -> None:
            found.extend(lease.shard for lease in (await store.claim()).leases)

        async with anyio.create_task_group() as tasks:
            for store in stores:
                tasks.start_soon(claim, store)
        assert len(found) == len(set(found))

    # --- the end of a lease ----------------------------------------------------------------------

    async def test_shards_are_taken_over_when_their_leases_have_ended(self, stores: list[Store], shared: SharedStorage) -> None:
        """Not before; then with higher epochs, and the claim names the replica that expired and what it lost."""
        before = await held(stores[0])
        dead = (await stores[0].claim()).me
        await shared.advance(shared.lease_s - 3)
        assert (await stores[1].claim()).leases == []
        await shared.advance(4)
        claim = await stores[1].claim()
        assert claim.expired == {dead: len(before)}
        assert {lease.shard for lease in claim.leases} == set(before)
        assert all(lease.epoch > before[lease.shard].epoch for lease in claim.leases)

    async def test_leases_that_ended_are_renewed_where_nobody_has_taken_them(self, stores: list[Store], shared: SharedStorage) -> None:
        """A replica that is alone and could not reach the store for long keeps its shards under the same epochs."""
        before = await held(stores[0])
        await shared.advance(10 * shared.lease_s)
        assert await held(stores[0]) == before

    async def test_a_replica_that_was_late_itself_leaves_the_others_time_to_come_back(
        self, stores: list[Store], shared: SharedStorage
    ) -> None:
        """After an outage of the store that is longer than a lease, both replicas renew theirs within the grace, and none loses a shard."""
        before = await self.balanced(stores[:2])
        await shared.advance(10 * shared.lease_s)
        assert await held(stores[0]) == before[0]
        await shared.advance(shared.lease_s * GRACE_SHARE - 0.5)
        assert await held(stores[0]) == before[0]
        assert await held(stores[1]) == before[1]

    async def test_a_replica_that_was_late_itself_takes_over_after_the_grace(self, stores: list[Store], shared: SharedStorage) -> None:
        """Where the other one does not come back after the outage of the store, its shards are taken over."""
        before = await self.balanced(stores[:2])
        await shared.advance(10 * shared.lease_s)
        assert (await stores[0].claim()).expired == {}
        await shared.advance(shared.lease_s * GRACE_SHARE + 0.5)
        claim = await stores[0].claim()
        assert list(claim.expired.values()) == [len(before[1])]
        assert len(claim.leases) == stores[0].shards

    async def test_a_replica_that_expired_comes_back_as_a_new_one(self, stores: list[Store], shared: SharedStorage) -> None:
        """Its leases are gone, its old writes are fenced, and it takes part again under another name."""
        old, name = await held(stores[0]), (await stores[0].claim()).me
        watch = (await stores[0].admit([a_watch()]))[0]
        await shared.advance(shared.lease_s + 1)
        await stores[1].claim()
        with pytest.raises(Fenced):
            await stores[0].commit([moved(watch)], old)
        claim = await stores[0].claim()
        assert claim.leases == []
        assert claim.me != name
        assert len(claim.replicas) == 2

    async def test_renewals_keep_a_replica_alive(self, stores: list[Store], shared: SharedStorage) -> None:
        """However much time passes between the first and the last of them."""
        before = await held(stores[0])
        for _ in range(5):
            await shared.advance(shared.lease_s - 3)
            assert await held(stores[0]) == before
            assert (await stores[1].claim()).leases == []

    # --- fencing ---------------------------------------------------------------------------------

    async def test_only_the_owner_writes(self, stores: list[Store]) -> None:
        """Another replica cannot commit or settle in a shard, whatever leases it presents."""
        leases = await self.balanced(stores)
        mine = next(iter(leases[0]))
        watch = (await stores[0].admit(in_shards(stores[0], [mine])))[0]
        with pytest.raises(Fenced) as fenced:
            await stores[1].commit([moved(watch)], leases[1])
        assert fenced.value.shards == {mine}
        assert not await stores[0].commit([moved(watch)], leases[0])
        (event,) = await stores[0].read_outbox("bus", mine, 0, 10)
        with pytest.raises(Fenced):
            await stores[1].settle("bus", [event], [], leases[1])
        await stores[0].settle("bus", [event], [], leases[0])
        assert not await stores[1].read_outbox("bus", mine, 0, 10)

    async def test_a_shard_that_was_given_back_is_fenced_for_its_last_owner(self, stores: list[Store]) -> None:
        """From the release on, also before another replica claims it."""
        leases = await held(stores[0])
        watch = (await stores[0].admit([a_watch()]))[0]
        await stores[0].release(list(leases.values()))
        with pytest.raises(Fenced):
            await stores[0].commit([moved(watch)], leases)

    async def test_events_continue_after_a_takeover(self, stores: list[Store], shared: SharedStorage) -> None:
        """The new owner reads what its predecessor did not settle, and its own events come after it."""
        old = await held(stores[0])
        watch = (await stores[0].admit([a_watch()]))[0]
        first = moved(watch, "A")
        await stores[0].commit([first], old)
        await shared.advance(shared.lease_s + 1)
        new = await held(stores[1])
        await stores[1].commit([moved(first.watch, "B")], new)
        shard = shard_of(watch.key, stores[0].shards)
        assert [event.to for event in await stores[1].read_outbox("bus", shard, 0, 10)] == ["A", "B"]

    # --- leaving ---------------------------------------------------------------------------------

    async def test_a_replica_that_leaves_is_none_any_more(self, stores: list[Store]) -> None:
        """The others share its shards at their next claim, without waiting for its lease."""
        await self.balanced(stores)
        await stores[0].release(list((await held(stores[0])).values()), leaving=True)
        leases = [await held(store) for store in stores[1:]]
        assert sorted(shard for each in leases for shard in each) == list(range(stores[0].shards))
        assert len((await stores[1].claim()).replicas) == 2

    async def test_close_gives_everything_back(self, stores: list[Store]) -> None:
        """A replica that closes without a release is not waited for either."""
        await stores[0].claim()
        await stores[0].close()
        assert len(await held(stores[1])) == stores[1].shards

    # --- admission -------------------------------------------------------------------------------

    async def test_the_same_task_at_two_replicas_is_one_watch(self, stores: list[Store]) -> None:
        """Admitted at the same moment, both get the same watch."""
        found: list[Watch] = []

        async def admit(store: Store, id_: str) -> None:
            found.extend(await store.admit([a_watch(f"t{n}", watch=f"{id_}-{n}") for n in range(20)]))

        async with anyio.create_task_group() as tasks:
            for store, id_ in zip(stores, "abc", strict=True):
                tasks.start_soon(admit, store, id_)
        assert len({watch.id for watch in found}) == len({watch.key for watch in found}) == 20

    async def test_the_owner_is_told_of_watches_that_others_admit(self, stores: list[Store]) -> None:
        """`wait` returns `admitted`, and `arrivals` the watch."""
        leases = await held(stores[0])
        await loaded(stores[0], leases)
        await stores[0].wait()  # the first call returns at once
        watch = a_watch()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stores[1].admit, [watch])
            with anyio.fail_after(30):
                assert (await stores[0].wait()).admitted
        assert watch.key in await arrivals(stores[0], leases)

    async def test_the_others_are_told_of_released_shards(self, stores: list[Store]) -> None:
        """`wait` of another replica returns `released`."""
        leases = await held(stores[0])
        await stores[1].claim()
        await stores[1].wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stores[0].release, list(leases.values()))
            with anyio.fail_after(30):
                assert (await stores[1].wait()).released

    async def test_the_owner_is_told_of_notifications_that_others_receive(self, stores: list[Store]) -> None:
        """`announce` returns the tasks that are watched, and `wait` of their owner the keys."""
        leases = await held(stores[0])
        await stores[0].wait()
        watch, ended = await stores[1].admit([a_watch(), a_watch("ended")])
        await stores[0].commit([moved(ended, "SUCCEEDED", end=True)], leases)
        told: set[str] = set()
        async with anyio.create_task_group() as tasks:

            async def announce() -> None:
                assert list(await stores[1].announce([watch.key, ended.key, "speaker-search/vc/unknown"])) == [watch.key]

            tasks.start_soon(announce)
            with anyio.fail_after(30):
                while not told:
                    told |= (await stores[0].wait()).notified
        assert told == {watch.key}

    async def test_no_arrival_is_left_out(self, stores: list[Store]) -> None:
        """Whoever admits it, each watch is in `load` or in one of the `arrivals` after it."""
        leases = await self.balanced(stores)
        seen: list[set[str]] = [await loaded(store, each) for store, each in zip(stores, leases, strict=True)]
        admitted: set[str] = set()
        for n in range(30):
            watches = await stores[n % 3].admit([a_watch(f"task-{n}-{m}") for m in range(3)])
            admitted |= {watch.key for watch in watches}
            if n % 4 == 0:
                for store, each, keys in zip(stores, leases, seen, strict=True):
                    keys |= await arrivals(store, each)
        for store, each, keys in zip(stores, leases, seen, strict=True):
            keys |= await arrivals(store, each)
            assert keys == {key for key in admitted if shard_of(key, store.shards) in each}

    async def test_an_ended_watch_does_not_arrive(self, stores: list[Store]) -> None:
        """Only open watches are to be polled."""
        leases = await held(stores[0])
        await loaded(stores[0], leases)
        watch = (await stores[1].admit([a_watch()]))[0]
        await stores[0].commit([moved(watch, "SUCCEEDED", end=True)], leases)
        assert await arrivals(stores[0], leases) == set()

    # --- what replicas tell one another ----------------------------------------------------------

    async def test_a_report_reaches_the_others(self, stores: list[Store]) -> None:
        """With the shards and the times of its replica; the next report replaces it."""
        report = Report("1.2.3", 2, {"speaker-search": QuotaUse(7.5, 12, 0.25, 2)})
        me = (await stores[0].claim(report)).me
        (other,) = (await stores[1].claim()).others
        assert (other.name, other.report) == (me, report)
        assert list(other.shards) == list(range(stores[0].shards))
        assert 0 <= other.renewed_s_ago < other.expires_in_s
        assert next(iter(await stores[2].replicas())).name == me
        await stores[0].claim(Report("1.2.4"))
        assert (await stores[1].claim()).others[0].report == Report("1.2.4")

    async def test_a_text_of_its_own_ends_with_the_replica(self, stores: list[Store], shared: SharedStorage) -> None:
        """Each replica has one under the same name, beside the common one; that of a replica that expired is gone."""
        for store, text in zip(stores[:2], "ab", strict=True):
            await store.claim()
            await store.save_state("progress", text, own=True)
        await stores[2].save_state("progress", "common")
        assert sorted(await stores[2].load_states("progress")) == ["a", "b", "common"]
        assert await stores[0].load_state("progress") == "common"
        await shared.advance(shared.lease_s - 3)
        await stores[1].claim()
        await shared.advance(4)
        await stores[1].claim()
        assert sorted(await stores[1].load_states("progress")) == ["b", "common"]

    # --- operations ------------------------------------------------------------------------------

    async def test_each_owner_gets_the_erasures_of_its_shards(self, stores: list[Store]) -> None:
        """Once, whichever replica erased them."""
        leases = await self.balanced(stores)
        mine = [in_shards(store, [next(iter(each))])[0] for store, each in zip(stores, leases, strict=True)]
        await stores[0].admit(mine)
        for watch in mine:
            await stores[2].forget(Selection(key=watch.key))
        for store, watch in zip(stores, mine, strict=True):
            assert list((await store.requests()).forgotten) == [watch.key]
            assert list((await store.requests()).forgotten) == []

    async def test_each_owner_gets_the_cancellations_of_its_shards(self, stores: list[Store]) -> None:
        """Whichever replica requested them."""
        leases = await self.balanced(stores)
        mine = [in_shards(store, [next(iter(each))])[0] for store, each in zip(stores, leases, strict=True)]
        await stores[0].admit(mine)
        assert await stores[2].cancel([watch.key for watch in mine]) == 3
        for store, watch in zip(stores, mine, strict=True):
            assert dict((await store.requests()).cancelled) == {watch.key: watch.id}

    async def test_all_replicas_see_one_identity(self, stores: list[Store], shared: SharedStorage) -> None:
        """Also one that only reads."""
        reader = shared.replica("reader")
        await reader.attach()
        assert len({await store.identity() for store in (*stores, reader)}) == 1
        await reader.close()

    async def test_each_dead_letter_is_retried_by_one_replica(self, stores: list[Store]) -> None:
        """One of an input too, although it belongs to no task."""
        leases = await self.balanced(stores)
        letters = [a_dead_letter(f"d{n}") for n in range(12)]
        await stores[0].add_dead_letters(letters)
        await stores[1].retry([letter.id for letter in letters])
        found = [[letter.id for letter in (await store.requests()).retries] for store in stores]
        assert sorted(id_ for ids in found for id_ in ids) == sorted(letter.id for letter in letters)
        for ids, each in zip(found, leases, strict=True):
            assert {shard_of(id_, stores[0].shards) for id_ in ids} <= set(each)

    async def test_a_replica_opens_beside_others(self, stores: list[Store], shared: SharedStorage) -> None:
        """It takes nothing away from them, and sees what they have committed."""
        leases = await held(stores[0])
        watch = (await stores[0].admit([a_watch()]))[0]
        late = shared.replica("late")
        await late.open(["bus", "new"])
        assert not await stores[0].commit([moved(watch)], leases)
        assert (await late.task(watch.key)) == moved(watch).watch
        await late.close()
