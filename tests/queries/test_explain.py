from __future__ import annotations

import pytest

from tests.queries.recorded import CATALOG, RecordedTask, dead_letter, record
from watcher.adapters.stores.memory import MemoryStore
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.open_circuits import STATE, OpenCircuit, dump
from watcher.core.polling.poll_errors import on_poll_error
from watcher.core.polling.submitted_status import advance_by_submission
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import Denied, Invalid, NotFound
from watcher.model import Observation, TaskRef, Watch
from watcher.queries.explain import END_REASONS, Explanation, explain_task
from watcher.queries.poll_plan import PollSettings

SETTINGS = PollSettings(WatchSettings(), CadenceSettings())


async def explained(store: MemoryStore, task: RecordedTask) -> Explanation:
    return await explain_task(store, CATALOG, task.watch.key, SETTINGS, task.now)


async def test_an_open_task_has_a_history_and_a_next_poll(store: MemoryStore) -> None:
    """The explanation of an open task holds its events as committed, the plan of its polls, and no end."""
    task = RecordedTask("t1").seen("IN_QUEUE", 20).seen("IN_PROGRESS", 12, lag=1.5)
    await record(store, task)
    found = await explained(store, task)
    assert [(event.change, event.note, event.detection_lag_s) for event in found.events] == [
        ("new -> IN_QUEUE", "", 0.5),
        ("IN_QUEUE -> IN_PROGRESS", "", 1.5),
    ]
    shown = found.as_json()
    assert shown["events"][0]["type"] == "watcher.task.transition.v1"
    assert (shown["task"]["context"], shown["next"]["rule"], shown["end"]) == ({"call": "c-42"}, "accrual", None)
    assert shown["not_yet_taken"] == {"log": 2}


async def test_a_status_from_a_message_is_noted(store: MemoryStore) -> None:
    """The history says which status no poll saw."""
    task = RecordedTask("t1")
    seen = Observation("IN_PROGRESS", task.now - 9, created_at=task.now - 12, started_at=task.now - 10)
    task._add(advance_by_submission(CATALOG["speaker-search"], task.watch, seen, WatchSettings()))
    task.seen("FAILED", 5)
    await record(store, task)
    found = await explained(store, task)
    assert [event.note for event in found.events] == ["skipped IN_QUEUE; from the message, without a call", ""]
    assert [event.polls for event in found.events] == [0, 1]


async def test_an_ended_task_has_no_next_poll(store: MemoryStore) -> None:
    """The explanation of an ended task says why its watch ended, and which statuses no poll saw."""
    task = RecordedTask("t1").seen("SUCCEEDED", 12)
    await record(store, task)
    found = await explained(store, task)
    assert (found.next, found.end) == (None, END_REASONS["terminal"])
    assert found.events[0].note == "skipped IN_QUEUE, IN_PROGRESS"


async def test_each_type_of_event_has_a_note(store: MemoryStore) -> None:
    """An update reports that the result changed, and an end reports its reason."""
    task = RecordedTask("t1").seen("PARTIAL_SUCCESS", 12, result={"matches": []})
    task = task.seen("PARTIAL_SUCCESS", 8, result={"matches": [{"voice_profile_id": "v", "confidence": 1.0}]}).ended("deadline", 1)
    await record(store, task)
    found = await explained(store, task)
    assert [(event.change, event.note) for event in found.events][1:] == [
        ("PARTIAL_SUCCESS", "the result changed"),
        ("PARTIAL_SUCCESS", "the watch ended: deadline"),
    ]


@pytest.mark.parametrize("kind", ["speaker-search", "voice-tone"])
async def test_an_open_circuit_of_the_tasks_service_is_named(store: MemoryStore, kind: str) -> None:
    """The circuit of the credentials and those of the task's own service, whatever the kind; not those of another service or target."""
    task = RecordedTask("t1", kind=kind).seen("IN_QUEUE", 20)
    await record(store, task)
    names = ["circuit:credentials", "circuit:not_found:chime-sdk-voice", "circuit:outage:other", "circuit:unreadable:chime-sdk-voice:eu"]
    await store.save_state(STATE, dump(OpenCircuit(name, "open: x", task.now, "hint") for name in names))
    found = await explained(store, task)
    assert found.next is not None
    assert list(found.next.open_circuits) == names[:2]
    assert [why.split()[0] for why in found.next.why[:4]] == [names[0], "hint", names[1], "hint"]


UNREADABLE = ["", "{", "{}", "5", '[{"component": "circuit:credentials"}]', '[{"component": 1, "reason": "", "since": 0, "hint": ""}]']


@pytest.mark.parametrize("text", UNREADABLE)
async def test_saved_circuits_that_cannot_be_read_are_none(store: MemoryStore, text: str) -> None:
    """The plan of an open task has then the other reasons only."""
    task = RecordedTask("t1").seen("IN_QUEUE", 20)
    await record(store, task)
    await store.save_state(STATE, text)
    found = await explained(store, task)
    assert found.next is not None
    assert found.next.open_circuits == []


async def test_a_task_that_was_never_found_has_advice(store: MemoryStore) -> None:
    """The end of a watch without any status says what to check, and that of a task that was there does not."""
    never, lost = RecordedTask("t1").ended("not_found", 1), RecordedTask("t2").seen("IN_QUEUE", 5).ended("not_found", 1)
    await record(store, never)
    await record(store, lost)
    assert "the Region" in ((await explained(store, never)).end or "")
    assert (await explained(store, lost)).end == END_REASONS["not_found"]


async def test_an_unknown_task_has_an_empty_explanation(store: MemoryStore) -> None:
    """The JSON form of an unknown task has the same members as any other."""
    found = await explain_task(store, CATALOG, "speaker-search/abc/t1", SETTINGS, 0.0)
    assert found.as_json() == {
        "key": "speaker-search/abc/t1",
        "task": None,
        "next": None,
        "end": None,
        "events": [],
        "not_yet_taken": {},
        "dead_letters": [],
    }


async def test_only_its_own_dead_letters_are_listed(store: MemoryStore) -> None:
    """The dead letters of other tasks are left out."""
    task, event = RecordedTask("t1"), {"what": "event", "origin": "log", "reason": "size"}
    letters = [dead_letter("a", key=task.watch.key, **event), dead_letter("b", key="speaker-search/abc/t2", **event), dead_letter("c")]
    await record(store, task, dead_letters=letters)
    assert [letter.id for letter in (await explained(store, task)).dead_letters] == ["a"]


async def test_a_task_shares_the_calls_of_its_own_quota(store: MemoryStore) -> None:
    """The plan counts the open tasks whose calls count against the same quota, and uses the pace saved for it."""
    tasks = [
        RecordedTask("t1").seen("IN_PROGRESS", 12),
        RecordedTask("t2"),
        RecordedTask("v1", kind="voice-tone").seen("IN_PROGRESS", 12),
    ]
    await record(store, *tasks, states=[("pace speaker-search", "4.0"), ("pace voice-tone", "0.5")])
    search, tone = (await explained(store, tasks[0])).next, (await explained(store, tasks[2])).next
    assert search is not None
    assert tone is not None
    assert (search.open_tasks, search.pace, tone.open_tasks, tone.pace) == (2, 4.0, 1, 0.5)


async def test_a_task_of_an_unknown_kind_can_be_explained(store: MemoryStore) -> None:
    """A task whose kind was removed from the catalog is explained without saved state."""
    ref = TaskRef("removed-kind", ("a", "b"))
    await store.admit([Watch(ref, "0" * 32, 0.0, 3600.0)])
    found = await explain_task(store, CATALOG, ref.key, SETTINGS, 1.0)
    assert found.next is not None
    assert (found.next.open_tasks, found.next.pace) == (0, None)


def test_every_end_reason_is_explained() -> None:
    """Each reason for which a decision ends a watch has an explanation."""
    watch = RecordedTask("t1").watch
    long_ago = watch.admitted_at
    kind, settings = CATALOG["speaker-search"], WatchSettings(not_found_grace=0)
    reasons = {
        on_poll_error(kind, watch, Invalid("x"), long_ago, settings, mono=0.0).watch.end_reason,
        on_poll_error(kind, watch, NotFound("x"), long_ago, settings, mono=0.0).watch.end_reason,
        on_poll_error(kind, watch, NotFound("x"), long_ago + 8 * 86_400, settings, mono=0.0).watch.end_reason,
        RecordedTask("t1").seen("SUCCEEDED", 1).watch.end_reason,
    }
    for _ in range(3):
        watch = on_poll_error(kind, watch, Denied("x"), long_ago, settings, mono=0.0).watch
    reasons.add(watch.end_reason)
    assert reasons == {"invalid", "not_found", "expired", "terminal", "denied"}
    assert reasons <= set(END_REASONS)
