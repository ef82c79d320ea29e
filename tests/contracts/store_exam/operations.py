"""The protocol `Operations`: what operators request, and where the owner learns of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_tasks,
    commit,
    committed,
    forget,
    ids,
    keys,
    moved,
    settle,
    unsettled,
)
from watcher.model import Pruned
from watcher.ports import CANCEL_PAGE, RETRY_PAGE, Store
from watcher.query import Selection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.store_exam import Storage


class OperationsExam:
    reopened: Callable[..., Awaitable[Store]]

    # --- dead letters ----------------------------------------------------------------------------

    async def test_a_retry_stays_requested(self, store: Store) -> None:
        """A dead letter marked for a retry is returned to the owner each time, until it is added again or purged."""
        await store.add_dead_letters([a_dead_letter("a"), a_dead_letter("b"), a_dead_letter("c")])
        assert await store.retry(["a", "b", "unknown", "a"]) == 2
        for _ in range(2):
            assert ids((await store.requests()).retries) == ["a", "b"]
        assert {found.id for found in await all_dead_letters(store) if found.retry} == {"a", "b"}
        await store.add_dead_letters([a_dead_letter("a")])
        assert await store.purge(["b"]) == 1
        assert list((await store.requests()).retries) == []
        assert {found.id: found.tries for found in await all_dead_letters(store)} == {"a": 2, "c": 1}

    async def test_a_rejected_retry_ends_the_request(self, store: Store) -> None:
        """An event that is rejected again after a retry counts one more try, and is no longer marked."""
        await committed(store)
        (event,) = await unsettled(store)
        await settle(store, "bus", [], [a_dead_letter(event=event)])
        await store.retry(["d1"])
        await settle(store, "bus", [], [a_dead_letter(event=event)])
        assert [(found.tries, found.retry) for found in await all_dead_letters(store)] == [(2, False)]
        assert list((await store.requests()).retries) == []

    async def test_purge(self, store: Store) -> None:
        """Purging erases the named dead letters, or all of them, and returns how many there were."""
        await store.add_dead_letters([a_dead_letter("a"), a_dead_letter("b"), a_dead_letter("c")])
        assert await store.purge(["a", "unknown"]) == 1
        assert await store.purge([]) == 0
        assert await store.purge() == 2
        assert await all_dead_letters(store) == []

    async def test_retries_come_in_pages(self, store: Store) -> None:
        """Requests return a page of the marked dead letters in order of arrival, and then the next one, until there are no more."""
        names = [f"d{n:03}" for n in range(2 * RETRY_PAGE + 1)]
        await store.add_dead_letters([a_dead_letter(name) for name in [*names, "unmarked"]])
        assert await store.retry(names) == len(names)
        pages, after = [], None
        for _ in range(3):
            requests = await store.requests(after)
            pages.append(ids(requests.retries))
            after = requests.next
        assert [len(page) for page in pages] == [RETRY_PAGE, RETRY_PAGE, 1]
        assert [name for page in pages for name in page] == names
        assert after is None

    # --- cancellation ----------------------------------------------------------------------------

    async def test_a_cancellation_stays_requested_until_the_watch_has_ended(self, store: Store) -> None:
        """Cancelled open watches are returned to the owner each time with their ids, in order of admission, until they have ended."""
        one, two, three = await store.admit([a_watch("t1"), a_watch("t2"), a_watch("t3")])
        assert await store.cancel([three.key, "speaker-search/vc1/unknown", one.key, one.key]) == 2
        for _ in range(2):
            assert list((await store.requests()).cancelled.items()) == [(one.key, one.id), (three.key, three.id)]
        await commit(store, moved(one, "A"))
        assert (await store.requests()).cancelled.keys() == {one.key, three.key}
        await commit(store, moved(moved(one).watch, "B", end=True), moved(two, end=True))
        assert dict((await store.requests()).cancelled) == {three.key: three.id}
        await commit(store, moved(three, end=True))
        assert not (await store.requests()).cancelled

    async def test_an_ended_watch_is_not_cancelled(self, store: Store) -> None:
        """To cancel a task that has ended, or nothing, changes nothing."""
        watch = (await store.admit([a_watch()]))[0]
        ended = moved(watch, end=True)
        await commit(store, ended)
        assert await store.cancel([watch.key]) == 0
        assert await store.cancel([]) == 0
        assert not (await store.requests()).cancelled
        assert await store.task(watch.key) == ended.watch

    async def test_an_erased_task_is_not_cancelled(self, store: Store) -> None:
        """A cancellation goes with its watch: the same task, submitted again, is not cancelled."""
        watch = (await store.admit([a_watch()]))[0]
        await store.cancel([watch.key])
        await forget(store, watch)
        await store.admit([a_watch(watch="again")])
        assert not (await store.requests()).cancelled

    async def test_cancellations_come_in_pages(self, store: Store) -> None:
        """At most a page of cancelled watches is returned, and the next ones when these have ended."""
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(CANCEL_PAGE + 2)]))
        assert await store.cancel([watch.key for watch in reversed(watches)]) == len(watches)
        assert list((await store.requests()).cancelled) == keys(watches[:CANCEL_PAGE])
        await commit(store, *(moved(watch, end=True) for watch in watches[:CANCEL_PAGE]))
        assert list((await store.requests()).cancelled) == keys(watches[CANCEL_PAGE:])

    async def test_a_cancellation_survives_a_restart(self, store: Store, storage: Storage) -> None:
        """A cancellation that was requested before a restart is returned after it."""
        watch = (await store.admit([a_watch()]))[0]
        await store.cancel([watch.key])
        again = await self.reopened(storage, store)
        await again.claim()
        assert dict((await again.requests()).cancelled) == {watch.key: watch.id}
        await again.close()

    # --- erasure ---------------------------------------------------------------------------------

    async def test_forget_erases_all_of_a_task(self, store: Store) -> None:
        """Erasing a task removes its watch, events and dead letters, leaves other tasks, and reaches the owner one time."""
        watch, other = await committed(store, "t1", "A", "B"), await committed(store, "t2", "C")
        mine = next(event for event in await unsettled(store) if event.to == "A")
        theirs = next(event for event in await unsettled(store) if event.to == "C")
        await settle(store, "bus", [], [a_dead_letter("mine", event=mine), a_dead_letter("theirs", event=theirs)])
        assert await forget(store, watch) == 1
        assert await store.task(watch.key) is None
        assert list(await store.task_events(watch.key)) == []
        assert ids(await all_dead_letters(store)) == ["theirs"]
        assert await unsettled(store) == []
        assert await unsettled(store, "log") == [theirs]
        assert await store.task(other.key) == other
        assert list((await store.requests()).forgotten) == [watch.key]
        assert list((await store.requests()).forgotten) == []
        assert await forget(store, watch) == 0

    async def test_each_erasure_reaches_the_owner_whenever_it_asks(self, store: Store) -> None:
        """Of several erasures none is skipped and none comes twice, whether the owner asks after each one, after two, or in between."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(7)])
        reported: list[str] = []
        for erased, times in ((1, 1), (1, 1), (2, 2), (1, 3), (1, 1), (1, 3)):
            for watch in watches[len(reported) : len(reported) + erased]:
                assert await forget(store, watch) == 1
            found = [list((await store.requests()).forgotten) for _ in range(times)]
            assert found[1:] == [[]] * (times - 1)
            reported += found[0]
        assert reported == [watch.key for watch in watches]

    async def test_forget_by_the_first_parameter(self, store: Store) -> None:
        """All tasks with this first parameter are erased with their dead letters, and none with one that only looks similar."""
        for task, status, connector in ("t1", "A", "vc/1"), ("t2", "B", "vc/1"), ("t3", "C", "vc/12"), ("vc/1", "D", "vc"):
            await committed(store, task, status, connector=connector)
        await settle(store, "bus", [], [a_dead_letter(event.to or "", event=event) for event in await unsettled(store)])
        assert await store.forget(Selection(param=0, value="vc/1")) == 2
        assert keys(await all_tasks(store)) == keys([a_watch("vc/1", connector="vc"), a_watch("t3", connector="vc/12")])
        assert sorted(ids(await all_dead_letters(store))) == ["C", "D"]
        assert len((await store.requests()).forgotten) == 2

    async def test_forget_by_another_parameter(self, store: Store) -> None:
        """A selection by the second parameter looks at no other one; a parameter that no task has selects nothing."""
        await store.admit([a_watch("x", connector="c"), a_watch("x", connector="d"), a_watch("c", connector="x")])
        assert await store.forget(Selection(param=2, value="x")) == 0
        assert await store.forget(Selection(param=1, value="x")) == 2
        assert keys(await all_tasks(store)) == [a_watch("c", connector="x").key]

    async def test_forget_by_kind_and_parameter(self, store: Store) -> None:
        """A selection with a kind erases only tasks of this kind and their dead letters, at every target."""
        watches = [a_watch("t1"), a_watch("t2", kind="voice-tone"), a_watch("t3", target="eu")]
        for watch in watches:
            await committed(store, watch)
        await settle(store, "bus", [], [a_dead_letter(event.key, event=event) for event in await unsettled(store)])
        assert await store.forget(Selection(kind="speaker-search", value="vc1")) == 2
        assert keys(await all_tasks(store)) == [watches[1].key]
        assert ids(await all_dead_letters(store)) == [watches[1].key]

    async def test_forget_with_an_empty_selection(self, store: Store) -> None:
        """A selection without a key and a value erases nothing."""
        await committed(store)
        assert await store.forget(Selection()) == 0
        assert await store.forget(Selection(kind="speaker-search")) == 0
        assert len(await all_tasks(store)) == 1

    @pytest.mark.parametrize("selection", [Selection(key=a_watch().key), Selection(value="vc1"), Selection(param=1, value="t1")])
    async def test_forget_dead_letters_of_a_pruned_task(self, store: Store, selection: Selection) -> None:
        """A dead letter is erased with its task's selection also when the watch is gone already."""
        watch = (await store.admit([a_watch()]))[0]
        await commit(store, moved(watch, at=10.0, end=True))
        for sink in ("bus", "log"):
            events = await unsettled(store, sink)
            await settle(store, sink, [], [a_dead_letter(sink, event=event, at=20.0) for event in events])
        assert await store.prune(15.0) == Pruned(watches=1)
        assert ids(await all_dead_letters(store)) == ["log", "bus"]
        assert await store.forget(selection) == 0
        assert await all_dead_letters(store) == []

    async def test_an_erased_task_may_be_submitted_again(self, store: Store) -> None:
        """After the erasure, the same task is a new watch without events."""
        watch = await committed(store)
        await forget(store, watch)
        again = a_watch(watch="again")
        assert list(await store.admit([again])) == [again]
        assert list(await store.task_events(watch.key)) == []
