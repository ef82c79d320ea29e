"""The oracle: knows what really happened, and which promises must hold after any run. Returns a sentence for each broken one."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.simulation.batch_oracle import judge_batches
from tests.simulation.peers import UnreliableInbox
from tests.simulation.play import FRESH
from tests.simulation.record import Record
from tests.simulation.story import Story
from tests.simulation.token_oracle import judge_tokens
from tests.simulation.truth import own_reason, truth_of
from tests.simulation.world import MARK
from watcher.model import EventType
from watcher.runtime.polling import TICK_S

STOP_S = 25.0
"""The longest stop, in seconds."""
ERASED_S = 15.0
"""For how long after an erasure an earlier event may still be delivered: on a slow disk, the watcher looks every 10 s."""
FRESH_S = 10.0
"""The longest way of a task that comes after all faults, without the gap between two polls: 2 s of intake, 1 s for a permit and 1 s
for calls, 3 s for a slow disk and slow sinks, and 3 s by which learned durations may lengthen a gap."""


def judge(record: Record) -> list[str]:
    """Every broken promise of one process after the other, one sentence each."""
    return [*judge_all_but_overlaps(record), *_no_overlap(record)]


def judge_all_but_overlaps(record: Record, slower_s: float = 0.0) -> list[str]:
    """As `judge`, without whether two calls about one task were made at once. A fresh task may take `slower_s` seconds longer."""
    broken = [*_everything_done(record, slower_s), *_calls_within_limits(record), *_no_person_named(record), *_nothing_left(record)]
    broken += [*judge_batches(record), *judge_tokens(record)]
    for inbox in record.inboxes:
        broken += [*_events(record, inbox), *_no_event_given_up(record, inbox)]
    return broken


def _everything_done(record: Record, slower_s: float) -> Iterator[str]:
    """Each submitted task was reported to its end, each invalid message is a dead letter, and a fresh task is fast."""
    if not record.idle:
        left = record.left
        yield f"not all work is done: {len(record.queue)} messages, open {left.open}, backlog {left.backlog}, tokens {left.tokens}"
        return
    expected = record.submitted - record.erased.keys() - record.resubmitted
    for inbox in record.inboxes:
        ended = {sent.event.key for sent in inbox.sent if sent.event.terminal}
        if missing := expected - ended:
            yield f"{inbox.name} got no last event of {sorted(missing)}"
    if record.story.durable:
        inputs = [letter for letter in record.left.dead_letters if letter.what == "input"]
        if len(inputs) != record.invalid:
            yield f"{record.invalid} invalid messages, {len(inputs)} dead letters"
    if record.fresh_lag is None or record.fresh_lag > _fresh_limit(record) + slower_s:
        yield f"after all faults the watcher added {record.fresh_lag} s to the duration of a fresh task"


def _fresh_limit(record: Record) -> float:
    """Seconds: one whole gap, in which the task may have ended at once, the rest of a backoff of intake, and the way.

    A gap lasts until 0.1 s of lag is expected to have accrued: under the general prior t / (t + 30 s) alone, with a tenth
    of its weight, √(2 · 0.1 · (30 + age) / 0.1) s, where a clock that was set adds to the age. Learned durations change that
    by a few seconds, except in a provisional status: where tasks stay in it, a gap is as long as any may be. A queue that
    failed may have left intake in a backoff of up to 60 s.
    """
    story, truth = record.story, record.service.tasks.truth(FRESH)
    ahead = sum((trouble.strength - 0.5) * 2400 for trouble in story.troubles if trouble.name == "clock")
    gap = math.sqrt(2 * (30 + max(0.0, ahead + truth[-1][1] - truth[0][1])))
    if any(status == "PARTIAL_SUCCESS" for status, _ in truth):
        gap = max(gap, 60.0)
    return gap + backoff_of_intake(story) + FRESH_S


def backoff_of_intake(story: Story) -> float:
    """Seconds that a backoff of intake may still last at the end of all trouble."""
    return max([0.0, *(trouble.at + trouble.lasts_s + 60 - story.calm_at for trouble in story.troubles if trouble.name == "queue")])


def _calls_within_limits(record: Record) -> Iterator[str]:
    """No call of one process beyond the configured rate, no needless refresh."""
    if record.story.rate is not None:
        for number, kinds in enumerate(record.probe.calls):
            for kind, calls in kinds.items():
                at = _first_call_beyond(record.story.rate, calls, burst=1.0 + record.seen["suspended"])
                if at is not None:
                    yield f"more than {record.story.rate}/s for {kind} in process {number}, at {at:.3f}"
    if record.probe.needless_refreshes:
        yield f"credentials were refreshed {record.probe.needless_refreshes} times although no call was accepted with the last ones"


def _no_overlap(record: Record) -> Iterator[str]:
    if record.service.stats.peak_per_task > 1 and not record.seen["kill"]:
        yield f"{record.service.stats.peak_per_task} calls about one task at once"


def _first_call_beyond(rate: float, calls: list[float], burst: float) -> float | None:
    """The first call for which a bucket of this many calls, filled at this rate, is empty.

    The bucket has one more call for each time that the process was suspended, which may fall between permit and call.
    """
    level, before = burst, -math.inf
    for at in calls:
        level = min(burst, level + (at - before) * rate) - 1
        before = at
        if level < -TICK_S * rate - 1e-6:  # a timer may fire a tick early
            return at
    return None


def _no_person_named(record: Record) -> Iterator[str]:
    """No metric has a task id or what a task found."""
    tasks = {task for _, _, task in record.story.tasks}
    for page in (metrics.decode() for metrics in record.metrics):
        named = [name for name in (MARK, *tasks) if f'{name}"' in page or f"{name}/" in page]
        if named:
            yield f"the metrics name {sorted(named)}"


def _nothing_left(record: Record) -> Iterator[str]:
    if record.tasks_left > 0:
        yield f"{record.tasks_left} tasks of the event loop are left"
    for stop in record.stops:
        if stop > STOP_S:
            yield f"a stop took {stop:.1f} s"


def _events(record: Record, inbox: UnreliableInbox) -> Iterator[str]:
    """The events of one sink are of submitted tasks, have stable bodies, and tell what happened."""
    bodies: dict[str, bytes] = {}
    distinct: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event, at in ((sent.event, sent.at) for sent in inbox.sent):
        if event.key not in record.submitted:
            yield f"{inbox.name} got an event of {event.key}, which was never submitted"
        if bodies.setdefault(event.id, event.body) != event.body:
            yield f"{inbox.name} got two bodies with the id {event.id}"
        erased = record.erased.get(event.key)
        if erased is not None and at > erased + ERASED_S:
            yield f"{inbox.name} got an event of {event.key} {at - erased:.0f} s after it was erased"
        body = json.loads(event.body)
        if body not in distinct[event.key]:
            distinct[event.key].append(body)
    for key, events in distinct.items():
        if record.story.durable and key not in record.erased and key not in record.resubmitted:
            yield from _one_watch(record, inbox, key, events)
        yield from _true(record, inbox.name, key, events)


def _no_event_given_up(record: Record, inbox: UnreliableInbox) -> Iterator[str]:
    """An event that was refused only while the sink refused every event is no dead letter."""
    refused: dict[tuple[int, int], list[bool]] = defaultdict(list)
    for sent in inbox.sent:
        if not sent.accepted:
            refused[sent.event.shard, sent.event.position].append(sent.refusing)
    for letter in record.left.dead_letters:
        if letter.origin == inbox.name and all(refused[letter.shard, letter.position]):
            yield f"{inbox.name} refused {letter.key} only while it refused everything, and it is a dead letter"


def _one_watch(record: Record, inbox: UnreliableInbox, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    """In order, without gaps, with one last event; what was rejected is a dead letter."""
    numbers = [int(event["sequence"]) for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"{inbox.name} got the events of {key} as {numbers}"
    if [event["data"]["terminal"] for event in events] != [False] * (len(events) - 1) + [True]:
        yield f"{inbox.name} got a terminal event of {key} that was not the last one, or none"
    reported = [event["data"]["to"] for event in events if event["type"] == EventType.TRANSITION]
    truth = _truth(record, key)
    if reported != [status for status in truth if status in reported]:
        yield f"{inbox.name} got the statuses {reported} of {key}: {truth}"
    accepted = {sent.event.id for sent in inbox.sent if sent.accepted}
    dead_letters = {(letter.shard, letter.position) for letter in record.left.dead_letters if letter.origin == inbox.name}
    for event in (sent.event for sent in inbox.sent if sent.event.key == key):
        if event.id not in accepted and (event.shard, event.position) not in dead_letters:
            yield f"{inbox.name} rejected {event.id} of {key}, and it is no dead letter"


def _true(record: Record, sink: str, key: str, events: list[dict[str, Any]]) -> Iterator[str]:
    """Each reported status was one of the task, and the last one was its end."""
    truth, last = _truth(record, key), events[-1]["data"]
    for event in events:
        if event["data"]["to"] not in (None, *truth):
            yield f"{sink} got the status {event['data']['to']} of {key}: {truth}"
    if last["terminal"] and last["to"] not in (None, *truth[-1:], "PARTIAL_SUCCESS"):
        yield f"{sink} got the last status {last['to']} of {key}: {truth}"
    if last.get("reason") not in (None, own_reason(key), "cancelled" if key in record.cancelled else None):
        yield f"{sink} got the end of the watch of {key} with reason {last['reason']}: trouble in polling is no trouble of the task"


def _truth(record: Record, key: str) -> list[str]:
    """The statuses that a task really had, in order."""
    return [status for status, _ in truth_of(record, key)]
