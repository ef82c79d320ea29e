"""Stories in which a fault has no effect prove nothing about it: the watcher meets everything that can be drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from structlog.testing import capture_logs

from tests.simulation.batch_probe import BatchProbe
from tests.simulation.drawing import draw
from tests.simulation.executions import TOKEN_FAULTS
from tests.simulation.play import play
from tests.simulation.record import Record
from tests.simulation.single_failures import SINGLE_FAILURES
from tests.simulation.story import FAULTS, MISSING, TROUBLES, Story
from tests.simulation.truth import truth_of
from tests.simulation.world import EPOCH
from watcher.simulator.faults import FAULTS as SERVICE_ERRORS

SEEDS = range(200)
LATE_S = 30.0
"""For how long after its end a task has surely been reported, in seconds, in some of the stories."""
ALWAYS = {"kill", "stop", "erasure", "cancellation", "message again", "event again"}
WITH_BATCHES = {"riders", "single failure", "batch failed"}
WITH_TOKENS = {"token answered", "late token", "several tokens", "token timed out", "heartbeat"}
ALL = {*FAULTS, *TROUBLES, *ALWAYS, *SINGLE_FAILURES, *WITH_BATCHES, *TOKEN_FAULTS, *WITH_TOKENS}


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
    return {name for name, times in (signs | _about_batches(record) | _about_tokens(record)).items() if times}


def _about_batches(record: Record) -> dict[str, int]:
    """What calls about several tasks met."""
    return {**record.probe.seen, **record.probe.single.seen} if isinstance(record.probe, BatchProbe) else {}


def _about_tokens(record: Record) -> dict[str, int]:
    """What the calls about task tokens met."""
    if record.executions is None:
        return {}
    done = [answer.token for answer in record.executions.answers if answer.took == "done"]
    closed = {answer.token for answer in record.executions.answers if answer.took == "closed"}
    ends = {token: truth_of(record, key)[-1:] for token, key in record.tokens.items()}
    late = [token for at, _, _, token in record.story.tokens if token in done and ends[token] and EPOCH + at > ends[token][0][1] + LATE_S]
    most = max(Counter(record.tokens[token] for token in done).values(), default=0)
    signs = {"token answered": len(done), "late token": len(late), "several tokens": most > 1, "token timed out": len(closed - {*done})}
    return {**record.executions.seen, **signs}


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
    batches = {*story.single_failures, *WITH_BATCHES} if story.batch_size else set()
    tokens = {*story.token_faults, *WITH_TOKENS} if story.tokens else set()
    return (drawn | ALWAYS | batches | tokens) - ambiguous


def surely_met(seed: int) -> set[str]:
    """What the watcher met in the story of this seed, as far as that is unambiguous."""
    story = draw(seed)
    with capture_logs() as lines:
        record = play(story)
    logged = Counter(str(line.get("component", line["event"])).rstrip("0123456789") for line in lines)
    return met(record, logged) & unambiguous(story)


@pytest.mark.long
def test_everything_that_can_be_drawn_occurs() -> None:
    """For each fault, each trouble, and whatever else can be drawn, there is a story in which the watcher met it."""
    missing = set(ALL)
    for seed in SEEDS:
        if missing & unambiguous(draw(seed)):
            missing -= surely_met(seed)
    assert missing == set()
