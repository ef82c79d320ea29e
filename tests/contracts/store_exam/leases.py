"""The leases of the protocol `Shards`: who owns which shard, and what a write without a valid lease does."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_events,
    commit,
    forget,
    in_shard,
    in_two_shards,
    leases,
    moved,
    unsettled,
)
from watcher.errors import Fenced
from watcher.model import Lease
from watcher.ports import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.store_exam import Storage


async def outdated(store: Store) -> dict[int, Lease]:
    """Leases that were released and claimed again."""
    before = await leases(store)
    await store.release(list(before.values()))
    await store.claim()
    return before


class LeaseExam:
    reopened: Callable[..., Awaitable[Store]]

    async def test_a_single_owner_claims_all_shards(self, store: Store) -> None:
        """The first claim grants every shard, forever; a further one returns the same leases."""
        granted = list((await store.claim()).leases)
        assert [lease.shard for lease in granted] == list(range(store.shards))
        assert {lease.duration_s for lease in granted} == {math.inf}
        assert store.renew_s is None
        assert list((await store.claim()).leases) == granted

    async def test_a_released_shard_is_claimed_with_a_higher_epoch(self, store: Store) -> None:
        """Releasing one shard leaves the others; the next claim grants it again with a higher epoch."""
        before = await leases(store)
        await store.release([before[0]])
        after = await leases(store)
        assert after[0].epoch > before[0].epoch
        assert list(after.values())[1:] == list(before.values())[1:]

    async def test_releasing_a_lost_lease_is_ignored(self, store: Store) -> None:
        """A release with an outdated lease does not give the shard back."""
        lost = await outdated(store)
        await store.release(list(lost.values()))
        current = await leases(store)
        assert not await store.commit([], current)
        watch = (await store.admit([a_watch()]))[0]
        assert not await store.commit([moved(watch)], current)

    async def test_a_restart_fences_the_earlier_owner(self, store: Store, storage: Storage) -> None:
        """After another open, the leases from before it are not valid, and the new ones have higher epochs."""
        watch = (await store.admit([a_watch()]))[0]
        before = await leases(store)
        store = await self.reopened(storage, store)
        with pytest.raises(Fenced):
            await store.commit([moved(watch)], before)
        after = await leases(store)
        assert all(after[shard].epoch > lease.epoch for shard, lease in before.items())
        with pytest.raises(Fenced):
            await store.commit([moved(watch)], before)
        await store.close()

    async def test_admission_needs_no_lease(self, store: Store) -> None:
        """Watches are admitted before any claim."""
        assert list(await store.admit([a_watch()])) == [a_watch()]

    @pytest.mark.parametrize("missing", [True, False], ids=["missing", "outdated"])
    async def test_a_commit_without_a_valid_lease(self, store: Store, missing: bool) -> None:
        """A commit under a missing or outdated lease raises Fenced with that shard, and writes nothing."""
        watch = (await store.admit([next(in_shard(store, store.shards - 1))]))[0]
        invalid = {} if missing else await outdated(store)
        with pytest.raises(Fenced) as fenced:
            await store.commit([moved(watch)], invalid)
        assert fenced.value.shards == {store.shards - 1}
        assert await store.task(watch.key) == watch
        assert await all_events(store) == []
        assert not await commit(store, moved(watch))

    @pytest.mark.parametrize("missing", [True, False], ids=["missing", "outdated"])
    async def test_a_settlement_without_a_valid_lease(self, store: Store, missing: bool) -> None:
        """Settling under a missing or outdated lease raises Fenced with that shard, and records nothing."""
        watch = (await store.admit([a_watch()]))[0]
        await commit(store, moved(watch))
        (event,) = await unsettled(store)
        invalid = {} if missing else await outdated(store)
        for delivered, dead_letters in ([event], []), ([], [a_dead_letter(event=event)]):
            with pytest.raises(Fenced) as fenced:
                await store.settle("bus", delivered, dead_letters, invalid)
            assert fenced.value.shards == {event.shard}
        assert await unsettled(store) == [event]
        assert await all_dead_letters(store) == []

    async def test_a_commit_to_two_shards_of_which_one_is_fenced(self, store: Store) -> None:
        """It raises Fenced with exactly the shard whose lease is not valid, and writes nothing to the other one."""
        here, there = await store.admit(in_two_shards(store))
        owned = await leases(store)
        await store.release([owned[1]])
        with pytest.raises(Fenced) as fenced:
            await store.commit([moved(here), moved(there)], owned)
        assert fenced.value.shards == {1}
        assert await store.task(here.key) == here
        assert await all_events(store) == []
        assert not await store.commit([moved(here)], owned)

    async def test_a_settlement_in_two_shards_of_which_one_is_fenced(self, store: Store) -> None:
        """It raises Fenced with exactly the shard whose lease is not valid, and records nothing for the other one."""
        watches = await store.admit(in_two_shards(store))
        await commit(store, *[moved(watch) for watch in watches])
        events = await unsettled(store)
        owned = await leases(store)
        del owned[0]
        with pytest.raises(Fenced) as fenced:
            await store.settle("bus", events[1:], [a_dead_letter(event=events[0])], owned)
        assert fenced.value.shards == {0}
        assert await unsettled(store) == events
        assert await all_dead_letters(store) == []

    async def test_fenced_is_not_erased(self, store: Store) -> None:
        """The key of an erased task is returned under a valid lease; without one, Fenced is raised although it is erased."""
        erased, there = await store.admit(list(islice(in_shard(store), 2)))
        await forget(store, erased)
        with pytest.raises(Fenced):
            await store.commit([moved(erased), moved(there)], {})
        assert await store.task(there.key) == there
        assert list(await commit(store, moved(erased), moved(there))) == [erased.key]
