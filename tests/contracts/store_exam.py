"""The exam that every store sits: the sentences of `Store` and `Ledger` in watcher/ports.py, put as questions.

A store's test module makes a subclass of `StoreExam` and gives it a `shelf`: the place where what a store keeps
outlives the store object, so that it can be opened again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Protocol

import anyio
import pytest

from watcher.errors import StoreError
from watcher.model import Backlog, Change, DeadLetter, Event, TaskRef, Watch
from watcher.ports import Ledger, Store


class Kept(Store, Ledger, Protocol):
    """Every store is a ledger too."""


class Shelf(Protocol):
    def store(self) -> Kept:
        """A store over what is on the shelf, not open."""


def a_watch(task: str = "t1", *, connector: str = "vc1", watch: str | None = None, **facts: object) -> Watch:
    id_ = watch or f"watch-of-{connector}-{task}"
    return Watch(TaskRef("speaker-search", (connector, task)), id_, 1000.0, 9000.0)._replace(**facts)


def moved(watch: Watch, status: str = "IN_PROGRESS", *, at: float = 1001.0, end: bool = False) -> Change:
    """The next change of a watch, with the one event that tells of it."""
    after = watch._replace(status=status, sequence=watch.sequence + 1, changed_at=at, polls=watch.polls + 3)
    if end:
        after = after._replace(ended_at=at, end_reason="terminal")
    return Change(after, (an_event(after, status, at, end),))


def an_event(watch: Watch, status: str, at: float, end: bool = False) -> Event:
    body = json.dumps({"to": status, "score": "canary-0.91"}).encode()
    return Event(f"{watch.id}-{watch.sequence}", watch.key, "speaker-search", "watcher.task.transition.v1", status, end, at, body)


def a_letter(name: str = "l1", *, event: Event | None = None, at: float = 1002.0) -> DeadLetter:
    if event is None:
        return DeadLetter(name, "input", "queue", "parse", "not JSON", b"{", at)
    return DeadLetter(name, "event", "bus", "rejected", "too large", event.body, at, key=event.key, position=event.position)


async def told(store: Kept, task: str = "t1", *statuses: str, connector: str = "vc1") -> Watch:
    """Admit a task and commit these statuses, one after the other."""
    watch = (await store.admit([a_watch(task, connector=connector)]))[0]
    for status in statuses or ("IN_PROGRESS",):
        change = moved(watch, status)
        assert not await store.commit([change])
        watch = change.watch
    return watch


async def everything(store: Kept, sink: str = "bus") -> list[Event]:
    return list(await store.outbox(sink, 0, 10_000))


def ids(facts: Sequence[Event] | Sequence[DeadLetter] | Sequence[Watch]) -> list[str]:
    return [fact.id for fact in facts]


async def loaded(store: Kept) -> list[Watch]:
    return [watch async for piece in store.load() for watch in piece]


class StoreExam:
    """Subclasses bring the fixture `shelf`."""

    @pytest.fixture
    async def store(self, shelf: Shelf) -> AsyncIterator[Kept]:
        store = shelf.store()
        await store.open(["bus", "log"])
        yield store
        await store.close()

    async def reopened(self, shelf: Shelf, store: Kept, *sinks: str) -> Kept:
        await store.close()
        again = shelf.store()
        await again.open(sinks or ["bus", "log"])
        return again

    # --- admission -------------------------------------------------------------------------------

    async def test_admitted_is_found(self, store: Kept) -> None:
        """An admitted watch is returned, found by its key and loaded, with every fact it came with."""
        watch = a_watch("ä/?#", context='{"call":"c-42"}', created_at=1.5, result_digest="d")
        assert list(await store.admit([watch])) == [watch]
        assert await store.find(watch.key) == watch
        assert await loaded(store) == [watch]

    async def test_targets_are_different_tasks(self, store: Kept) -> None:
        """The same ids at another target are another task."""
        here, there = a_watch(), a_watch(watch="w2")._replace(ref=TaskRef("speaker-search", ("vc1", "t1"), "eu"))
        assert list(await store.admit([here, there])) == [here, there]
        assert await store.find(there.key) == there

    async def test_the_watch_that_was_there_stands(self, store: Kept) -> None:
        """Admitting a task again gives the watch that stands already, as it is now, beside the new ones."""
        standing = await told(store)
        fresh = a_watch("t2")
        assert list(await store.admit([a_watch(watch="other"), fresh])) == [standing, fresh]
        assert len(await store.tasks()) == 2

    async def test_twice_in_one_admission(self, store: Kept) -> None:
        """A task named twice in one call is one watch: the first."""
        first, second = a_watch(watch="w1"), a_watch(watch="w2")
        assert list(await store.admit([first, second])) == [first, first]

    async def test_an_ended_watch_stands_too(self, store: Kept) -> None:
        """An ended watch is not opened again by another admission."""
        watch = (await store.admit([a_watch()]))[0]
        ended = moved(watch, "SUCCEEDED", end=True)
        await store.commit([ended])
        assert list(await store.admit([a_watch(watch="other")])) == [ended.watch]
        assert await loaded(store) == []

    async def test_nothing_to_do(self, store: Kept) -> None:
        """Calls with nothing in them are harmless."""
        assert not await store.admit([])
        assert not await store.commit([])
        await store.settle("bus", [], [])
        await store.add_dead_letters([])

    # --- commits and the outbox ------------------------------------------------------------------

    async def test_commit_writes_watch_and_events(self, store: Kept) -> None:
        """A commit changes the watch, and its events stand in the outbox of each sink, in order, as they were rendered."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        assert not await store.commit([change])
        assert await store.find(watch.key) == change.watch
        for sink in ("bus", "log"):
            (event,) = await everything(store, sink)
            assert event.position > 0
            assert replace(event, position=0) == change.events[0]

    async def test_memory_only_facts_are_not_kept(self, store: Kept) -> None:
        """What a watch holds below the line belongs to the process that polls it."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        await store.commit([replace(change, watch=change.watch._replace(seen_at=5.0, failures=3, failing_since=4.0))])
        assert await store.find(watch.key) == change.watch

    async def test_positions_grow_in_the_order_of_commits(self, store: Kept) -> None:
        """Positions grow from commit to commit and within one."""
        one, two = await store.admit([a_watch("t1"), a_watch("t2")])
        first = moved(two)
        await store.commit([first])
        await store.commit([moved(one), moved(first.watch, "SUCCEEDED")])
        events = await everything(store)
        assert [(event.key, event.to) for event in events] == [
            (two.key, "IN_PROGRESS"),
            (one.key, "IN_PROGRESS"),
            (two.key, "SUCCEEDED"),
        ]
        assert [event.position for event in events] == sorted({event.position for event in events})

    async def test_the_same_commit_again_changes_nothing(self, store: Kept) -> None:
        """A repeated commit leaves one event with its first position."""
        watch = (await store.admit([a_watch()]))[0]
        change = moved(watch)
        await store.commit([change])
        before = await everything(store)
        assert not await store.commit([change])
        assert await everything(store) == before

    async def test_an_older_commit_does_not_turn_a_watch_back(self, store: Kept) -> None:
        """A change older than what stands, which should not come, leaves the watch as it is and tells nothing twice."""
        watch = (await store.admit([a_watch()]))[0]
        first = moved(watch)
        second = moved(first.watch, "SUCCEEDED", end=True)
        await store.commit([first])
        await store.commit([second])
        assert not await store.commit([first])
        assert await store.find(watch.key) == second.watch
        assert ids(await everything(store)) == ids(first.events + second.events)

    async def test_forgotten_keys_come_back(self, store: Kept) -> None:
        """A commit names the keys whose watch is gone or is another one, writes nothing for them, and the rest all the same."""
        gone, replaced, there = await store.admit([a_watch("gone"), a_watch("replaced"), a_watch("there")])
        await store.forget(key=gone.key)
        await store.forget(key=replaced.key)
        other = (await store.admit([a_watch("replaced", watch="other")]))[0]
        changes = [moved(gone), moved(replaced), moved(there)]
        assert sorted(await store.commit(changes)) == sorted([gone.key, replaced.key])
        assert ids(await everything(store)) == ids(changes[2].events)
        assert await store.find(other.key) == other

    async def test_outbox_begins_behind_after_and_keeps_its_limit(self, store: Kept) -> None:
        """`after` and `limit` cut the outbox; asked again it gives the same."""
        await told(store, "t1", "A", "B", "C", "D")
        events = await everything(store)
        assert list(await store.outbox("bus", 0, 2)) == events[:2]
        assert list(await store.outbox("bus", events[1].position, 1)) == events[2:3]
        assert list(await store.outbox("bus", events[3].position, 9)) == []

    # --- settling --------------------------------------------------------------------------------

    async def test_settled_in_order(self, store: Kept) -> None:
        """A settled event is gone from this sink's outbox and stays in the other's."""
        await told(store, "t1", "A", "B")
        first, second = await everything(store)
        await store.settle("bus", [first], [])
        assert await everything(store) == [second]
        assert await everything(store, "log") == [first, second]

    async def test_settled_out_of_turn(self, store: Kept, shelf: Shelf) -> None:
        """Events settled out of turn do not come again, before and after a restart, and the stuck one does."""
        await told(store, "t1", "A", "B", "C", "D")
        one, two, three, four = await everything(store)
        await store.settle("bus", [four, two], [])
        assert await everything(store) == [one, three]
        store = await self.reopened(shelf, store)
        assert await everything(store) == [one, three]
        await store.settle("bus", [one], [])
        assert await everything(store) == [three]
        await store.settle("bus", [three], [])
        assert await everything(store) == []
        await told(store, "t2", "E")
        assert [event.to for event in await everything(store)] == ["E"]
        await store.close()

    async def test_buried_events_are_settled(self, store: Kept) -> None:
        """A refused event becomes a dead letter and leaves the outbox, in one step with its delivered mates."""
        await told(store, "t1", "A", "B")
        first, second = await everything(store)
        letter = a_letter(event=second)
        await store.settle("bus", [first], [letter])
        assert await everything(store) == []
        assert list(await store.letters()) == [letter]

    async def test_backlog(self, store: Kept) -> None:
        """Each sink's backlog counts what it has still to settle and says when the oldest was committed."""
        watch = (await store.admit([a_watch()]))[0]
        first = moved(watch, "A", at=1010.0)
        second = moved(first.watch, "B", at=1020.0)
        third = moved(second.watch, "C", at=1030.0)
        await store.commit([first, second, third])
        events = await everything(store)
        await store.settle("bus", events[:1], [])
        await store.settle("log", events[1:2], [])
        assert await store.backlog() == {"bus": Backlog(2, 1020.0), "log": Backlog(2, 1010.0)}
        await store.settle("bus", events[1:], [])
        assert (await store.backlog())["bus"] == Backlog(0, None)

    async def test_a_new_sink_begins_with_the_next_event(self, store: Kept, shelf: Shelf) -> None:
        """A sink never named before hears nothing of what was; a known one goes on where it was."""
        await told(store, "t1", "A", "B")
        await store.settle("bus", (await everything(store))[:1], [])
        store = await self.reopened(shelf, store, "bus", "new")
        assert [event.to for event in await everything(store, "new")] == []
        await told(store, "t2", "C")
        assert [event.to for event in await everything(store, "new")] == ["C"]
        assert [event.to for event in await everything(store)] == ["B", "C"]
        await store.close()

    async def test_a_sink_named_no_longer_is_forgotten(self, store: Kept, shelf: Shelf) -> None:
        """A sink that was left out for one life begins anew."""
        await told(store, "t1", "A")
        store = await self.reopened(shelf, store, "bus")
        assert list(await store.backlog()) == ["bus"]
        store = await self.reopened(shelf, store, "bus", "log")
        assert await everything(store, "log") == []
        assert len(await everything(store)) == 1
        await store.close()

    async def test_positions_are_never_given_twice(self, store: Kept, shelf: Shelf) -> None:
        """When the newest events were erased, the next one still comes behind every cursor."""
        watch = await told(store, "t1", "A")
        (event,) = await everything(store)
        await store.settle("bus", [event], [])
        await store.forget(key=watch.key)
        store = await self.reopened(shelf, store, "bus", "late")
        await told(store, "t2", "B")
        assert [event.to for event in await everything(store)] == ["B"]
        assert [event.to for event in await everything(store, "late")] == ["B"]
        assert (await everything(store))[0].position > event.position
        await store.close()

    # --- what is kept over a restart -------------------------------------------------------------

    async def test_restart(self, store: Kept, shelf: Shelf) -> None:
        """Watches, events, letters and notes are there after a restart; load gives the open watches only."""
        ended = (await store.admit([a_watch("ended")]))[0]
        await store.commit([moved(ended, "SUCCEEDED", end=True)])
        open_ = await told(store, "open", "A")
        await store.add_dead_letters([a_letter()])
        await store.save_state("pace", "7")
        store = await self.reopened(shelf, store)
        assert await loaded(store) == [open_]
        assert [event.to for event in await everything(store)] == ["SUCCEEDED", "A"]
        assert list(await store.letters()) == [a_letter()]
        assert await store.load_state("pace") == "7"
        await store.close()

    async def test_load_gives_each_open_watch_once(self, store: Kept) -> None:
        """Some thousand watches come in several pieces, each once, also while others are committed."""
        watches = [a_watch(f"t{n}") for n in range(2500)]
        await store.admit(watches)
        seen: list[str] = []
        pieces = 0
        async for piece in store.load():
            pieces += 1
            seen += [watch.key for watch in piece]
            await store.commit([moved(watches[-pieces])])
        assert pieces > 1
        assert sorted(seen) == sorted(watch.key for watch in watches)

    async def test_notes(self, store: Kept) -> None:
        """A note is recalled as it was last remembered; one never written is None."""
        assert await store.load_state("pace") is None
        await store.save_state("pace", "1")
        await store.save_state("pace", "2")
        assert await store.load_state("pace") == "2"

    # --- dead letters ----------------------------------------------------------------------------

    async def test_the_same_poison_is_one_letter(self, store: Kept) -> None:
        """The same letter again counts one more try and keeps the latest reason and time."""
        await store.add_dead_letters([a_letter()])
        await store.add_dead_letters([replace(a_letter(at=1500.0), reason="shape", detail="a list")])
        assert list(await store.letters()) == [replace(a_letter(at=1500.0), reason="shape", detail="a list", tries=2)]

    async def test_letters_newest_first(self, store: Kept) -> None:
        """Letters come with the newest first."""
        await store.add_dead_letters([a_letter("b", at=2.0), a_letter("c", at=3.0), a_letter("a", at=1.0), a_letter("d", at=3.0)])
        assert ids(await store.letters()) == ["d", "c", "b", "a"]

    async def test_retry_is_asked_until_buried_again_or_purged(self, store: Kept) -> None:
        """A letter to be retried is handed to the owner each time, until it is buried again or purged."""
        await store.add_dead_letters([a_letter("a"), a_letter("b"), a_letter("c")])
        assert await store.retry(["a", "b", "unknown"]) == 2
        for _ in range(2):
            assert ids((await store.requests())[1]) == ["a", "b"]
        assert {letter.id for letter in await store.letters() if letter.retry} == {"a", "b"}
        await store.add_dead_letters([a_letter("a")])
        assert await store.purge(["b"]) == 1
        assert list((await store.requests())[1]) == []
        assert {letter.id: letter.tries for letter in await store.letters()} == {"a": 2, "c": 1}

    async def test_purge(self, store: Kept) -> None:
        """Purge erases the named letters, or all, and says how many there were."""
        await store.add_dead_letters([a_letter("a"), a_letter("b"), a_letter("c")])
        assert await store.purge(["a", "unknown"]) == 1
        assert await store.purge() == 2
        assert list(await store.letters()) == []

    # --- operators -------------------------------------------------------------------------------

    async def test_tasks(self, store: Kept) -> None:
        """Tasks come with the newest first, cut at the limit, and without the ended ones if asked so."""
        one, two, three = await store.admit([a_watch("t1"), a_watch("t2"), a_watch("t3")])
        ended = moved(two, "FAILED", end=True)
        await store.commit([ended])
        assert list(await store.tasks()) == [three, ended.watch, one]
        assert list(await store.tasks(open_only=True)) == [three, one]
        assert list(await store.tasks(limit=2)) == [three, ended.watch]

    async def test_owed(self, store: Kept) -> None:
        """What a task's events still wait for is told by sink, and only where there is something."""
        watch = await told(store, "t1", "A")
        assert await store.undelivered(watch.key) == {"bus": 1, "log": 1}
        await store.settle("bus", await everything(store, "bus"), [])
        assert await store.undelivered(watch.key) == {"log": 1}
        assert await store.undelivered("speaker-search/vc1/none") == {}

    async def test_history(self, store: Kept) -> None:
        """History gives all events of one task in order, delivered or not."""
        watch = await told(store, "t1", "A", "B")
        await told(store, "t2", "C")
        for sink in ("bus", "log"):
            await store.settle(sink, await everything(store, sink), [])
        assert [event.to for event in await store.history(watch.key)] == ["A", "B"]
        assert list(await store.history("speaker-search/vc1/none")) == []

    async def test_forget_erases_all_of_a_task(self, store: Kept) -> None:
        """Forgetting a key erases its watch, its events and its letters, leaves the others, and tells the owner once."""
        watch, other = await told(store, "t1", "A", "B"), await told(store, "t2", "C")
        mine, _, theirs = await everything(store)
        await store.settle("bus", [], [a_letter("mine", event=mine), a_letter("theirs", event=theirs)])
        assert await store.forget(key=watch.key) == 1
        assert await store.find(watch.key) is None
        assert list(await store.history(watch.key)) == []
        assert ids(await store.letters()) == ["theirs"]
        assert await everything(store) == []
        assert await everything(store, "log") == [theirs]
        assert await store.find(other.key) == other
        assert list((await store.requests())[0]) == [watch.key]
        assert list((await store.requests())[0]) == []
        assert await store.forget(key=watch.key) == 0

    async def test_forget_a_connector(self, store: Kept) -> None:
        """Forgetting a connector erases all its tasks and letters and nothing of a connector that only looks alike."""
        await told(store, "t1", "A", connector="vc/1")
        await told(store, "t2", "B", connector="vc/1")
        other = await told(store, "t3", "C", connector="vc/12")
        events = await everything(store)
        await store.settle("bus", [], [a_letter(event.to or "", event=event) for event in events])
        assert await store.forget(connector="vc/1") == 2
        assert list(await store.tasks()) == [other]
        assert ids(await store.letters()) == ["C"]
        assert len((await store.requests())[0]) == 2

    async def test_what_is_forgotten_does_not_come_back_as_a_letter(self, store: Kept) -> None:
        """An event that a sink refuses while its task is forgotten leaves no letter behind, nor does its retry."""
        watch = await told(store)
        (event,) = await everything(store)
        await store.forget(key=watch.key)
        await store.settle("bus", [], [a_letter(event=event)])
        await store.add_dead_letters([a_letter(event=event)])
        assert list(await store.letters()) == []

    async def test_a_forgotten_task_may_be_submitted_again(self, store: Kept) -> None:
        """After forgetting, the same task is a new watch with its own history."""
        watch = await told(store)
        await store.forget(key=watch.key)
        again = a_watch(watch="again")
        assert list(await store.admit([again])) == [again]
        assert list(await store.history(watch.key)) == []

    async def test_forgetting_opens_the_way_for_those_behind(self, store: Kept) -> None:
        """When the event that a sink was stuck at is forgotten, the later ones settle as ever."""
        stuck = await told(store, "t1", "A")
        await told(store, "t2", "B", "C")
        _, second, third = await everything(store)
        await store.settle("bus", [second], [])
        await store.forget(key=stuck.key)
        assert (await store.backlog())["bus"].events == 1
        await store.settle("bus", [third], [])
        assert (await store.backlog())["bus"] == Backlog(0, None)

    # --- retention -------------------------------------------------------------------------------

    async def test_prune(self, store: Kept) -> None:
        """Pruning erases watches that ended before then and that every sink has heard all of, with their events."""
        old, young, unheard, open_ = await store.admit([a_watch(name) for name in ("old", "young", "unheard", "open")])
        await store.commit([moved(old, at=10.0, end=True), moved(young, at=20.0, end=True), moved(open_, at=5.0)])
        for sink in ("bus", "log"):
            await store.settle(sink, await everything(store, sink), [])
        await store.commit([moved(unheard, at=10.0, end=True)])
        await store.settle("bus", await everything(store), [])
        assert await store.prune(20.0) == 1
        assert {watch.ref.params[1] for watch in await store.tasks()} == {"young", "unheard", "open"}
        assert list(await store.history(old.key)) == []
        await store.settle("log", await everything(store, "log"), [])
        assert await store.prune(20.0) == 1
        assert await store.find(unheard.key) is None
        assert len(await store.history(young.key)) == 1

    async def test_prune_many(self, store: Kept) -> None:
        """However many there are, one call erases all that may go."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(1200)])
        await store.commit([moved(watch, at=10.0, end=True) for watch in watches])
        for sink in ("bus", "log"):
            await store.settle(sink, await everything(store, sink), [])
        assert await store.prune(11.0) == 1200
        assert list(await store.tasks()) == []

    async def test_prune_letters(self, store: Kept) -> None:
        """Pruning erases the letters from before then."""
        await store.add_dead_letters([a_letter("old", at=9.0), a_letter("young", at=10.0)])
        await store.prune(10.0)
        assert ids(await store.letters()) == ["young"]

    # --- behaviour of the adapter ----------------------------------------------------------------

    async def test_check_says_something_short(self, store: Kept) -> None:
        """`check` answers in a few words."""
        assert 0 < len(await store.check()) < 80

    async def test_close_twice_and_without_open(self, store: Kept, shelf: Shelf) -> None:
        """Closing again, or without having opened, is harmless."""
        await store.close()
        await store.close()
        await shelf.store().close()

    async def test_attach_where_nothing_was_opened(self, shelf: Shelf) -> None:
        """There is nothing to attach to before the first owner."""
        ledger = shelf.store()
        with pytest.raises(StoreError):
            await ledger.attach()
        await ledger.close()

    async def test_many_at_once(self, store: Kept) -> None:
        """Commits that overlap are all there, each task's events in order."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(50)])

        async def live(watch: Watch) -> None:
            for status in "ABC":
                change = moved(watch, status)
                assert not await store.commit([change])
                watch = change.watch

        async with anyio.create_task_group() as tasks:
            for watch in watches:
                tasks.start_soon(live, watch)
        for watch in watches:
            assert [event.to for event in await store.history(watch.key)] == ["A", "B", "C"]
        assert len(await everything(store)) == 150

    async def test_cancelled_calls_leave_it_usable(self, store: Kept) -> None:
        """A call that is cancelled while it waits is done wholly or not at all, and the next calls work."""
        watches = await store.admit([a_watch(f"t{n}") for n in range(20)])
        for watch in watches:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.commit([moved(watch)])
        await store.save_state("after", "them")  # what is still under way is done by then: two reads must see the same
        for watch in watches:
            standing = await store.find(watch.key)
            assert standing is not None
            assert len(await store.history(watch.key)) == standing.sequence
            assert not await store.commit([moved(watch)])
        assert len(await everything(store)) == 20
