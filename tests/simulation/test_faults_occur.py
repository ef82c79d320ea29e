"""Stories in which a fault has no effect prove nothing about it: the watcher meets everything that can be drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from tests.simulation.drawing import draw
from tests.simulation.play import play
from tests.simulation.record import Record
from tests.simulation.story import FAULTS, MISSING, TROUBLES, Story
from watcher.simulator.faults import FAULTS as SERVICE_ERRORS

SEEDS = range(200)
ALWAYS = {"kill", "stop", "erasure", "cancellation", "message again", "event again"}
ALL = {*FAULTS, *TROUBLES, *ALWAYS}


def met(record: Record, logged: Counter[str]) -> set[str]:
    """What the watcher met: by the replies of the service, and by what the watcher logged."""
    replies, seen = record.service.stats.outcomes, record.seen
    signs = {fault: replies[SERVICE_ERRORS[fault].code or fault] for fault in (*FAULTS, "revoked", "expired")}
    signs |= {"service": signs["503"], "quota": signs["429"], "clock": seen["clock"], "suspended": seen["suspended"]}
    signs |= {"queue": logged["source:queue"], "disk": logged["store"]}
    signs |= {"sink": logged["sink:sink"], "postponing sink": logged["delivery_failed"], "rejecting sink": logged["event_rejected"]}
    signs |= {"refusing sink": logged["delivery_refused"], "misdirected": record.probe.misdirected}
    signs |= {"kill": seen["kill"], "stop": seen["stop"], "erasure": seen["erasure"]}
    signs |= {"cancellation": sum(b'"cancelled"' in sent.event.body for inbox in record.inboxes for sent in inbox.sent)}
    signs |= {"message again": record.queue.redelivered, "event again": sum(inbox.replies_lost for inbox in record.inboxes)}
    return {name for name, times in signs.items() if times}


def unambiguous(story: Story) -> set[str]:
    """What has a sign that nothing else in this story could cause: some kinds of trouble look alike from inside."""
    drawn = {*story.faults, *(trouble.name for trouble in story.troubles)}
    ambiguous = {"sink"} if story.lost_replies else set()
    for alike in ({"503", "service"}, {"429", "quota"}, {"sink", "postponing sink"}, {"rejecting sink", "refusing sink"}):
        ambiguous |= alike if alike <= drawn else set()
    if story.rate is None or story.rate > story.quota / 2:
        ambiguous |= {"429", "quota"}  # the pace itself tries how many calls it may make
    if any(task.startswith(MISSING) for _, _, task in story.tasks):
        ambiguous |= {"404"}
    return (drawn | ALWAYS) - ambiguous


def surely_met(seed: int) -> set[str]:
    """What the watcher met in the story of this seed, as far as that is unambiguous."""
    story = draw(seed)
    with capture_logs() as lines:
        record = play(story)
    logged = Counter(str(line.get("component", line["event"])).rstrip("0123456789") for line in lines)
    return met(record, logged) & unambiguous(story)


@pytest.mark.slow
def test_everything_that_can_be_drawn_occurs() -> None:
    """For each fault, each trouble, kills, stops, erasures, cancellations, and repeats there is a story in which the watcher met it."""
    missing = set(ALL)
    for seed in SEEDS:
        if missing & unambiguous(draw(seed)):
            missing -= surely_met(seed)
    assert missing == set()
