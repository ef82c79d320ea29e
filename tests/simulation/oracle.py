"""Knows the truth, and what must hold after any run whatsoever. Returns sentences; none is the only good answer."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.peers import UnreliableInbox
from tests.simulation.play import MARK
from tests.simulation.record import Record
from tests.simulation.story import DENIED, ENDLESS, MISSING
from watcher.model import DEFAULT_TARGET, EventType, TaskRef
from watcher.runtime.polling import TICK_S

STOP_S = 25.0
FORGET_S = 15.0
"""An event committed before an erasure may still be under way this long after it: a watcher on a slow disk looks every 10 s."""


FRESH_S = 10.0
"""The way of a task that comes after all faults, without the gap between two looks: 2 s of intake, 1 s for a permit and 1 s for calls,
3 s for a slow disk and slow sinks, and 3 s by which what was learned may lengthen a gap."""


def judge(record: Record) -> list[str]:
    """Every promise that was broken."""
    broken = [*_all_was_told(record), *_calls_keep_the_pace(record), *_nobody_is_named(record), *_house_is_clean(record)]
    for inbox in record.inboxes:
        broken += _events_are_good(record, inbox)
    return broken


def _all_was_told(record: Record) -> Iterator[str]:
    if not record.quiet:
        left = record.left
        yield f"I1: not done within the patience: {len(record.queue)} messages, open {left.open}, backlog {left.backlog}"
        return
    expected = record.submitted - record.forgotten.keys() - record.resubmitted
    for inbox in record.inboxes:
        closed = {handed.event.key for handed in inbox.handed if handed.event.terminal}
        if missing := expected - closed:
            yield f"I1: {inbox.name} was never told how these ended: {sorted(missing)}"
    if record.story.durable:
        inputs = [letter for letter in record.left.dead_letters if letter.what == "input"]
        if len(inputs) != record.poison:
            yield f"I1: {record.poison} poison messages, {len(inputs)} dead letters"
    if record.fresh_lag is None or record.fresh_lag > _fresh_bound(record):
        yield f"I5: after all faults the watcher added {record.fresh_lag} s to the life of a fresh task"


def _fresh_bound(record: Record) -> float:
    """Seconds: one whole gap, in which the task may have ended at once, the rest of a backoff of intake, and the way.

    A gap is 15 s in a provisional status. Else it lasts until 0.1 s of lag is expected to have accrued: by the prior t / (t + 30 s),
    √(2 · 0.1 · (30 + age)) s, where the age is what a clock that was set makes of it. What was learned moves that by a few seconds.
    A queue that failed may have left intake in a backoff of up to 60 s.
    """
    story, truth = record.story, record.service.tasks.truth(TaskRef.of("speaker-search/vc1/fresh", DEFAULT_TARGET))
    fast = sum((trouble.strength - 0.5) * 2400 for trouble in story.troubles if trouble.what == "clock")
    gap = math.sqrt(0.2 * (30 + max(0.0, fast + truth[-1][1] - truth[0][1])))
    if any(status == "PARTIAL_SUCCESS" for status, _ in truth):
        gap = max(gap, 15.0)
    backoffs = [trouble.at + trouble.lasts + 60 - story.calm_at for trouble in story.troubles if trouble.what == "queue"]
    return gap + max([0.0, *backoffs]) + FRESH_S


def _calls_keep_the_pace(record: Record) -> Iterator[str]:
    """Each kind against a bucket of one call, filled at the configured rate; a stop of the process may fall between permit and call."""
    rate = record.story.rate
    lives = record.probe.calls if rate is not None else []
    for life, kind, calls in [(life, kind, calls) for life, kinds in enumerate(lives) for kind, calls in kinds.items()]:
        level, before = 1.0 + record.seen["stopped"], -math.inf
        for at in calls:
            level = min(1.0 + record.seen["stopped"], level + (at - before) * (rate or 0.0)) - 1
            before = at
            if level < -TICK_S * (rate or 0.0) - 1e-6:  # a timer may fire a tick early
                yield f"I6: more than {rate}/s for {kind} in life {life}, at {at:.3f}"
                break
    if record.service.stats.peak_per_task > 1 and not record.seen["kill"]:
        yield f"I6: {record.service.stats.peak_per_task} calls about one task at once"
    if record.probe.idle_refreshes:
        yield f"F10: fresh credentials were asked for {record.probe.idle_refreshes} times though nothing was answered with the last ones"


def _nobody_is_named(record: Record) -> Iterator[str]:
    tasks = {task for _, _, task in record.story.tasks}
    for page in record.pages:
        named = [name for name in (MARK, *tasks) if f'{name}"' in page.decode() or f"{name}/" in page.decode()]
        if named:
            yield f"I7: the metrics name {sorted(named)}"


def _events_are_good(record: Record, inbox: UnreliableInbox) -> Iterator[str]:
    bodies: dict[str, bytes] = {}
    first_seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event, at in ((handed.event, handed.at) for handed in inbox.handed):
        if event.key not in record.submitted:
            yield f"I2: {inbox.name} was told of {event.key}, which nobody submitted"
        if bodies.setdefault(event.id, event.body) != event.body:
            yield f"I4: {inbox.name} got two bodies under the id {event.id}"
        erased = record.forgotten.get(event.key)
        if erased is not None and at > erased + FORGET_S:
            yield f"{inbox.name} was told of {event.key} {at - erased:.0f} s after it was erased"
        body = json.loads(event.body)
        if body not in first_seen[event.key]:
            first_seen[event.key].append(body)
    for key, events in first_seen.items():
        if record.story.durable and key not in record.forgotten and key not in record.resubmitted:
            yield from _one_watch(record, inbox, key, events)
        yield from _true(record, inbox.name, key, events)


def _one_watch(record: Record, inbox: UnreliableInbox, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    numbers = [int(event["sequence"]) for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"I3: {inbox.name} got {key} as {numbers}"
    if [event["data"]["terminal"] for event in events] != [False] * (len(events) - 1) + [True]:
        yield f"I3: {inbox.name} got a closing event of {key} that was not the last, or none"
    said = [event["data"]["to"] for event in events if event["type"] == EventType.TRANSITION]
    truth = [status for status, _ in record.service.tasks.truth(TaskRef.of(key, DEFAULT_TARGET))]
    if said != [status for status in truth if status in said]:
        yield f"I3: {inbox.name} was told that {key} went {said}: {truth}"
    taken = {handed.event.id for handed in inbox.handed if handed.taken}
    letters = {letter.position for letter in record.left.dead_letters if letter.origin == inbox.name}
    for handed in inbox.handed:
        if handed.event.key == key and handed.event.id not in taken and handed.event.position not in letters:
            yield f"I1: {inbox.name} refused {handed.event.id} of {key}, and no dead letter holds it"


def _true(record: Record, sink: str, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    """What was told happened, and the last of it was the end."""
    truth = [status for status, _ in record.service.tasks.truth(TaskRef.of(key, DEFAULT_TARGET))]
    for event in events:
        if event["data"]["to"] not in (None, *truth):
            yield f"{sink} was told that {key} became {event['data']['to']}: {truth}"
    last = events[-1]
    if last["data"]["terminal"] and last["data"]["to"] is not None and last["data"]["to"] not in (truth[-1], "PARTIAL_SUCCESS"):
        yield f"{sink} was told that {key} ended {last['data']['to']}: {truth}"
    reason = last["data"].get("reason")
    if reason not in (None, own_reason(key)):
        yield f"{sink} was told that the watch of {key} ended {reason}: trouble in asking is no trouble of the task"


def own_reason(key: str) -> str | None:
    """Why the watch of this task may end without an end of the task."""
    _, connector, task = key.split("/")
    if connector.startswith(DENIED):
        return "denied"
    return "not_found" if task.startswith(MISSING) else "deadline" if task.startswith(ENDLESS) else None


def _house_is_clean(record: Record) -> Iterator[str]:
    if record.tasks_left > 0:
        yield f"I8: {record.tasks_left} tasks of the event loop are left"
    for stop in record.stops:
        if stop > STOP_S:
            yield f"I9: a stop took {stop:.1f} s"
