"""Knows the truth, and what must hold after any run whatsoever. Returns sentences; none is the only good answer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.peers import UnreliableInbox
from tests.simulation.play import Record
from watcher.core.intake import parse_ref

STOP_S = 25.0
FORGET_S = 10.0
"""An event committed before an erasure may still be under way this long after it."""


def judge(record: Record) -> list[str]:
    """Every promise that was broken."""
    broken = [*_all_was_told(record), *_house_is_clean(record)]
    for inbox in record.inboxes:
        broken += _events_are_good(record, inbox)
    return broken


def _all_was_told(record: Record) -> Iterator[str]:
    if not record.quiet:
        backlog = {name: len(waiting) for name, waiting in record.store._waiting.items()}
        still = [watch.key for watch in record.store._watches.values() if watch.open]
        yield f"I1: not done within the patience: {len(record.queue)} messages, open {still}, backlog {backlog}"
        return
    expected = record.submitted - record.forgotten.keys() - record.resubmitted
    for inbox in record.inboxes:
        closed = {event.key for event in inbox.events if event.terminal}
        if missing := expected - closed:
            yield f"I1: {inbox.name} was never told how these ended: {sorted(missing)}"
    if record.story.durable:
        inputs = [letter for letter in record.store._letters.values() if letter.what == "input"]
        if len(inputs) != record.poison:
            yield f"I1: {record.poison} poison messages, {len(inputs)} dead letters"


def _events_are_good(record: Record, inbox: UnreliableInbox) -> Iterator[str]:
    bodies: dict[str, bytes] = {}
    first_seen: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event, at in zip(inbox.events, inbox.times, strict=True):
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
            yield from _one_watch(record, inbox.name, key, events)
        yield from _true(record, inbox.name, key, events)


def _one_watch(record: Record, sink: str, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    numbers = [int(event["sequence"]) for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"I3: {sink} got {key} as {numbers}"
    if [event["data"]["terminal"] for event in events] != [False] * (len(events) - 1) + [True]:
        yield f"I3: {sink} got a closing event of {key} that was not the last, or none"


def _true(record: Record, sink: str, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    """What was told happened, and the last of it was the end."""
    truth = [status for status, _ in record.service.world.truth(parse_ref(key))]
    for event in events:
        if event["data"]["to"] not in (None, *truth):
            yield f"{sink} was told that {key} became {event['data']['to']}: {truth}"
    last = events[-1]
    if last["data"]["terminal"] and last["data"]["to"] is not None and last["data"]["to"] not in (truth[-1], "PARTIAL_SUCCESS"):
        yield f"{sink} was told that {key} ended {last['data']['to']}: {truth}"
    if "reason" in last["data"]:
        yield f"{sink} was told that the watch of {key} ended {last['data']['reason']}: trouble in asking is no trouble of the task"


def _house_is_clean(record: Record) -> Iterator[str]:
    if record.service.stats.peak_per_task > 1 and not record.seen["kill"]:
        yield f"I6: {record.service.stats.peak_per_task} calls about one task at once"
    if record.tasks_left > 0:
        yield f"I8: {record.tasks_left} tasks of the event loop are left"
    for stop in record.stops:
        if stop > STOP_S:
            yield f"I9: a stop took {stop:.1f} s"
