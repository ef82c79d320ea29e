"""The protocol `Queries`: filters, pages, and cursors that stay valid while rows come and go."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_events,
    all_tasks,
    commit,
    committed,
    forget,
    ids,
    in_shard,
    in_two_shards,
    keys,
    moved,
    settle,
    unsettled,
)
from watcher.ports import Store
from watcher.query import DeadLetterQuery, EventQuery, TaskQuery

if TYPE_CHECKING:
    from tests.contracts.store_exam import Storage

MALFORMED = ["", "1", "x" * 16, "é" * 16, "7ff0000000000000", "7ff8000000000000" * 2, " " * 32, "00" * 40]
"""Texts that are no cursors, among them infinity and not a number."""


async def pages(find: Callable[[Any], Any], query: TaskQuery | DeadLetterQuery) -> AsyncIterator[list[Any]]:
    """The pages of a query, one after the other."""
    cursor: str | None = ""
    while cursor is not None:
        page = await find(replace(query, after=cursor or None))
        yield list(page.items)
        cursor = page.next


class QueriesExam:
    reopened: Callable[..., Awaitable[Store]]

    # --- tasks -----------------------------------------------------------------------------------

    async def test_tasks(self, store: Store) -> None:
        """Tasks come with the newest first, open or ended, at most `limit` of them."""
        one, two, three = await store.admit([a_watch("t1"), a_watch("t2"), a_watch("t3")])
        ended = moved(two, "FAILED", end=True)
        await commit(store, ended)
        assert await all_tasks(store) == [three, ended.watch, one]
        assert await all_tasks(store, limit=2) == [three, ended.watch]
        assert await all_tasks(store, limit=0) == []

    async def test_task_filters(self, store: Store) -> None:
        """Each filter of a task query selects, alone and with the others."""
        voice = a_watch("t1", kind="voice-tone")
        ended, running, fresh, _ = await store.admit([a_watch("t2"), a_watch("t3"), a_watch("t4"), voice])
        await commit(store, moved(ended, "FAILED", end=True), moved(running), moved(voice))
        assert keys(await all_tasks(store, open=True)) == keys([voice, fresh, running])
        assert keys(await all_tasks(store, open=False)) == [ended.key]
        assert keys(await all_tasks(store, kind="speaker-search")) == keys([fresh, running, ended])
        assert keys(await all_tasks(store, status="IN_PROGRESS")) == keys([voice, running])
        assert keys(await all_tasks(store, open=True, kind="speaker-search", status="IN_PROGRESS")) == [running.key]
        assert await all_tasks(store, kind="unknown") == []

    async def test_tasks_are_found_by_a_part_of_their_key(self, store: Store) -> None:
        """A search finds what is in the key as it is written: case counts, and no character is a wildcard."""
        watches = [a_watch("aXb"), a_watch("a%b"), a_watch("a_b"), a_watch("ä"), a_watch("axb", kind="voice-tone")]
        upper, percent, under, umlaut, lower = await store.admit(watches)
        found = {
            part: await all_tasks(store, search=part) for part in ("aXb", "a%25b", "a_b", "%", "_", "vc1/a", "%C3%A4", "", "A_B", "ä", "*")
        }
        assert found["aXb"] == [upper]
        assert found["a%25b"] == [percent]
        assert found["a_b"] == found["_"] == [under]
        assert found["%"] == [umlaut, percent]
        assert found["vc1/a"] == [lower, under, percent, upper]
        assert found["%C3%A4"] == [umlaut]
        assert found[""] == [lower, umlaut, under, percent, upper]
        assert found["A_B"] == found["ä"] == found["*"] == []
        assert await all_tasks(store, search="xb", kind="voice-tone", open=True) == [lower]

    async def test_pages_of_tasks_stay_valid(self, store: Store) -> None:
        """While tasks are admitted and erased between pages, also the last one of a page, every other earlier task comes one time."""
        old = list(await store.admit([a_watch(f"old-{n}") for n in range(10)]))
        seen: list[str] = []
        turn = 0
        async for items in pages(store.tasks, TaskQuery(limit=3)):
            seen += keys(items)
            await store.admit([a_watch(f"new-{turn}")])
            await forget(store, {0: old[7], 1: old[2]}.get(turn, a_watch("none")))
            turn += 1
        assert seen == [old[n].key for n in (9, 8, 7, 6, 5, 4, 3, 1, 0)]

    async def test_pages_of_tasks_with_filters(self, store: Store) -> None:
        """Pages are full where there are enough tasks that match, and the last one has no cursor."""
        watches = list(await store.admit([a_watch(f"t{n}", kind="voice-tone" if n % 2 else "speaker-search") for n in range(8)]))
        found = [keys(items) async for items in pages(store.tasks, TaskQuery(kind="voice-tone", open=True, limit=2))]
        assert found == [keys([watches[7], watches[5]]), keys([watches[3], watches[1]])]

    @pytest.mark.parametrize("cursor", MALFORMED)
    async def test_malformed_cursors(self, store: Store, cursor: str) -> None:
        """A text that no page had as its `next` raises ValueError, and the store stays usable."""
        with pytest.raises(ValueError, match="not a cursor"):
            await store.tasks(TaskQuery(after=cursor))
        with pytest.raises(ValueError, match="not a cursor"):
            await store.dead_letters(DeadLetterQuery(after=cursor))
        assert await all_tasks(store) == []

    async def test_count_open(self, store: Store) -> None:
        """Open watches are counted, of all kinds or of these."""
        await store.admit([a_watch("t1"), a_watch("t2"), a_watch("t3", kind="voice-tone")])
        await commit(store, moved(a_watch("t1"), end=True))
        assert await store.count_open() == 2
        assert await store.count_open(["voice-tone", "speaker-search"]) == 2
        assert await store.count_open({"voice-tone"}) == 1
        assert await store.count_open([]) == 0

    async def test_count_open_in_targets(self, store: Store) -> None:
        """Open watches are counted in all targets or in these, also together with their kinds; `default` is a target like the others."""
        ended = a_watch("t3", target="us")
        await store.admit([a_watch("t1"), a_watch("t1", target="eu"), a_watch("t2", kind="voice-tone", target="eu"), ended])
        await commit(store, moved(ended, end=True))
        found = {
            targets: [await store.count_open(kinds, targets) for kinds in (None, ["voice-tone"], ["speaker-search"], [])]
            for targets in (None, ("default",), ("eu",), ("us",), ("default", "eu"), ("speaker-search",), ())
        }
        assert found == {
            None: [3, 1, 2, 0],
            ("default",): [1, 0, 1, 0],
            ("eu",): [2, 1, 1, 0],
            ("us",): [0, 0, 0, 0],
            ("default", "eu"): [3, 1, 2, 0],
            ("speaker-search",): [0, 0, 0, 0],
            (): [0, 0, 0, 0],
        }

    async def test_open_watches_are_counted_by_state(self, store: Store) -> None:
        """Open watches are counted by kind, status, and the age of the status or, before the first look, of the watch."""
        now = 1_000_000.0
        ages = {"t1": 10.0, "t2": 10.5, "t3": 10.0, "t4": 86_400.0, "t5": 86_401.0, "t6": -5.0}
        seen = [a_watch(name, status="QUEUED", status_since=now - age) for name, age in ages.items()]
        new = [
            a_watch("new", kind="voice-tone")._replace(admitted_at=now - 601.0),
            a_watch("since")._replace(status="QUEUED", admitted_at=now),
        ]
        await store.admit([*seen, *new, a_watch("ended", status="QUEUED", status_since=now, ended_at=now, end_reason="terminal")])
        counts = await store.count_by_state(now)
        assert {(each.kind, each.status, each.upto_s): each.watches for each in counts} == {
            ("speaker-search", "QUEUED", 10.0): 4,
            ("speaker-search", "QUEUED", 60.0): 1,
            ("speaker-search", "QUEUED", 86_400.0): 1,
            ("speaker-search", "QUEUED", math.inf): 1,
            ("voice-tone", None, 3600.0): 1,
        }
        assert len(counts) == 5

    # --- identity --------------------------------------------------------------------------------

    async def test_a_store_has_an_identity(self, store: Store, storage: Storage) -> None:
        """A store keeps 32 random hex digits, which are no text of its content."""
        identity = await store.identity()
        assert re.fullmatch("[0-9a-f]{32}", identity)
        again = await self.reopened(storage, store)
        assert await again.identity() == identity
        await again.close()

    # --- events ----------------------------------------------------------------------------------

    async def test_task_events(self, store: Store) -> None:
        """All events of one task come in order, settled or not."""
        watch = await committed(store, "t1", "A", "B")
        await committed(store, "t2", "C")
        for sink in ("bus", "log"):
            await settle(store, sink, await unsettled(store, sink))
        assert [event.to for event in await store.task_events(watch.key)] == ["A", "B"]
        assert list(await store.task_events("speaker-search/vc1/none")) == []

    async def test_events(self, store: Store) -> None:
        """Events come after the given position, in order, at most `limit` of them, settled or not."""
        await committed(store, next(in_shard(store)), "A", "B", "C")
        first, second, third = await unsettled(store)
        await settle(store, "bus", [first, second])
        assert await all_events(store) == [first, second, third]
        assert await all_events(store, after={0: first.position}) == [second, third]
        assert await all_events(store, after={0: first.position}, limit=1) == [second]
        assert await all_events(store, after={0: third.position}) == []

    async def test_positions(self, store: Store) -> None:
        """The last position of each shard that has events is known; a reader that begins there gets what comes later."""
        assert await store.positions() == {}
        first = await committed(store, next(in_shard(store)), "A", "B")
        events = await unsettled(store)
        assert await store.positions() == {0: events[-1].position}
        await settle(store, "bus", events)
        now = await store.positions()
        assert now == {0: events[-1].position}
        await commit(store, moved(first, "C"))
        others = await committed(store, "other", "X")
        later = await all_events(store, after=now)
        assert {event.to for event in later} == {"C", "X"}
        assert await store.positions() == {event.shard: event.position for event in later}
        await forget(store, others)
        assert (await store.positions())[0] == max(event.position for event in later if event.to == "C")

    async def test_event_filters(self, store: Store) -> None:
        """Each filter of an event query selects, alone and with the others."""
        search, voice = await store.admit([a_watch("t1"), a_watch("t2", kind="voice-tone")])
        await commit(store, moved(search, "A"), moved(voice, "B"))
        await commit(store, moved(moved(voice).watch, "C", end=True))
        assert [event.to for event in await all_events(store, key=search.key)] == ["A"]
        assert [event.to for event in await all_events(store, kind="voice-tone")] == ["B", "C"]
        assert [event.to for event in await all_events(store, terminal=True)] == ["C"]
        assert {event.to for event in await all_events(store, terminal=False)} == {"A", "B"}
        assert await all_events(store, kind="speaker-search", terminal=True) == []
        first = (await all_events(store, key=voice.key))[0]
        assert [event.to for event in await all_events(store, key=voice.key, after={first.shard: first.position})] == ["C"]

    async def test_reading_events_of_all_shards(self, store: Store) -> None:
        """A reader that remembers the last position of each shard gets each event one time, in order within each shard."""
        busy, quiet = in_two_shards(store)
        await committed(store, busy, *"ABCDEFG")
        await committed(store, quiet, *"XYZ")
        seen: dict[int, int] = {}
        read: list[str | None] = []
        while events := await store.events(EventQuery(after=seen, limit=2)):
            assert len(events) <= 2
            read += [event.to for event in events]
            seen |= {event.shard: event.position for event in events}
        assert [status for status in read if status in list("ABCDEFG")] == list("ABCDEFG")
        assert [status for status in read if status in list("XYZ")] == list("XYZ")

    async def test_a_busy_shard_does_not_hide_the_others(self, store: Store) -> None:
        """An old event of one shard is among the first events, although another shard has more than `limit`."""
        busy, quiet = await store.admit(in_two_shards(store))
        await commit(store, moved(quiet, at=1.0))
        watch = busy
        for n in range(5):
            change = moved(watch, at=10.0 + n)
            await commit(store, change)
            watch = change.watch
        assert quiet.key in {event.key for event in await all_events(store, limit=3)}

    # --- dead letters ----------------------------------------------------------------------------

    async def test_dead_letters_come_newest_first(self, store: Store) -> None:
        """Dead letters come with the newest first; of two at the same time, the later arrival."""
        times = {"b": 2.0, "c": 3.0, "a": 1.0, "d": 3.0}
        await store.add_dead_letters([a_dead_letter(name, at=at) for name, at in times.items()])
        assert ids(await all_dead_letters(store)) == ["d", "c", "b", "a"]
        assert ids(await all_dead_letters(store, limit=1)) == ["d"]

    @pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 262_145, 1_048_576])
    async def test_bodies_of_any_size(self, store: Store, size: int) -> None:
        """A body comes back as it was, compressible or not; without bodies, its size does."""
        bodies = {"even": b"ab" * (size // 2) + b"a" * (size % 2), "random": Random(size).randbytes(size)}
        await store.add_dead_letters([replace(a_dead_letter(name), body=body) for name, body in bodies.items()])
        await store.retry(["even"])
        found = {letter.id: letter for letter in await all_dead_letters(store)}
        assert {name: letter.body for name, letter in found.items()} == bodies
        assert {letter.size for letter in found.values()} == {None}
        assert [letter.body for letter in (await store.requests()).retries] == [bodies["even"]]
        summaries = await all_dead_letters(store, bodies=False)
        assert [(letter.body, letter.size) for letter in summaries] == [(b"", size)] * 2
        assert [replace(letter, body=bodies[letter.id], size=None) for letter in summaries] == list(found.values())

    async def test_dead_letters_are_counted(self, store: Store) -> None:
        """Dead letters are counted by what they are and by their origin, also after a repeat and a purge."""
        await committed(store, "t1", "A", "B")
        events = await unsettled(store)
        await settle(store, "bus", [], [a_dead_letter(event.id, event=event) for event in events])
        other = replace(a_dead_letter("c"), origin="pipe")
        await store.add_dead_letters([a_dead_letter("a"), a_dead_letter("b"), other, a_dead_letter("a")])
        assert dict(await store.count_dead_letters()) == {("event", "bus"): 2, ("input", "queue"): 2, ("input", "pipe"): 1}
        await store.purge(["c"])
        assert dict(await store.count_dead_letters()) == {("event", "bus"): 2, ("input", "queue"): 2}

    async def test_dead_letter_filters(self, store: Store) -> None:
        """Dead letters are selected by key and by the start of their ids."""
        watch = await committed(store, "t1", "A", "B")
        first, second = await unsettled(store)
        await settle(store, "bus", [], [a_dead_letter("ab1", event=first, at=1.0), a_dead_letter("ac2", event=second, at=2.0)])
        await store.add_dead_letters([a_dead_letter("ab%", at=3.0), a_dead_letter("b", at=4.0)])
        assert ids(await all_dead_letters(store, key=watch.key)) == ["ac2", "ab1"]
        assert ids(await all_dead_letters(store, id_prefix="ab")) == ["ab%", "ab1"]
        assert ids(await all_dead_letters(store, id_prefix="a%")) == []
        assert ids(await all_dead_letters(store, id_prefix="AB")) == []
        assert ids(await all_dead_letters(store, id_prefix="ac2")) == ["ac2"]
        assert len(await all_dead_letters(store, id_prefix="")) == 4
        assert ids(await all_dead_letters(store, key=watch.key, id_prefix="ab")) == ["ab1"]

    async def test_pages_of_dead_letters_stay_valid(self, store: Store) -> None:
        """While dead letters are added and erased between pages, also the last one of a page, every other earlier one comes one time."""
        await store.add_dead_letters([a_dead_letter(f"old-{n}", at=100.0 + n // 4) for n in range(10)])
        seen: list[str] = []
        turn = 0
        async for items in pages(store.dead_letters, DeadLetterQuery(limit=3)):
            seen += ids(items)
            await store.add_dead_letters([a_dead_letter(f"new-{turn}", at=200.0 + turn)])
            await store.purge([{0: "old-7", 1: "old-2"}.get(turn, "none")])
            turn += 1
        assert seen == [f"old-{n}" for n in (9, 8, 7, 6, 5, 4, 3, 1, 0)]

    @pytest.mark.parametrize("filters", [{"key": "speaker-search/vc1/t1"}, {"id_prefix": "d"}])
    async def test_pages_of_dead_letters_with_filters(self, store: Store, filters: dict[str, str]) -> None:
        """Cursors and filters work together, also for several dead letters of the same time."""
        await committed(store, "t1", *"ABCDE")
        events = await unsettled(store)
        await settle(store, "bus", [], [a_dead_letter(f"d{n}", event=event, at=1000.0) for n, event in enumerate(events)])
        await store.add_dead_letters([a_dead_letter("other", at=1000.0)])
        found = [ids(items) async for items in pages(store.dead_letters, DeadLetterQuery(**filters, limit=2))]
        assert found == [["d4", "d3"], ["d2", "d1"], ["d0"]]
