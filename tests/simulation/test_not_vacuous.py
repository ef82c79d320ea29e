"""A run in which nothing happened proves nothing (I10): all that can be drawn was felt by the watcher in some story of the run."""

from __future__ import annotations

from collections import Counter

from structlog.testing import capture_logs

from tests.simulation.play import play
from tests.simulation.record import Record
from tests.simulation.story import FAULTS, MISSING, TROUBLES, Story, draw
from tests.simulation.test_stories import SEEDS
from watcher.simulator.faults import FAULTS as SERVICE_ERRORS

ALWAYS = {"kill", "stop", "forget", "a message again", "an event again"}
ALL = {*FAULTS, *TROUBLES, *ALWAYS}


def felt(record: Record, said: Counter[str]) -> set[str]:
    """What the watcher met: by the answers it was given, and by what it logged."""
    answers, seen = record.service.stats.outcomes, record.seen
    signs = {fault: answers[SERVICE_ERRORS[fault].code or fault] for fault in (*FAULTS, "revoked", "expired")}
    signs |= {"service": signs["503"], "quota": signs["429"], "clock": seen["clock"], "stopped": seen["stopped"]}
    signs |= {"queue": said["source:queue"], "disk": said["store"]}
    signs |= {"sink": said["sink:sink"], "fussy sink": said["event_not_taken"], "strict sink": said["event_refused"]}
    signs |= {"kill": seen["kill"], "stop": seen["stop"], "forget": seen["forget"]}
    signs |= {"a message again": record.queue.redelivered, "an event again": sum(inbox.deaths for inbox in record.inboxes)}
    return {what for what, times in signs.items() if times}


def one_cause(story: Story) -> set[str]:
    """What would have no other cause in this story, where it is felt: some kinds of trouble look alike from inside."""
    drawn = {*story.faults, *(trouble.what for trouble in story.troubles)}
    doubtful = {"sink"} if story.sink_dies else set()
    for alike in ({"503", "service"}, {"429", "quota"}, {"sink", "fussy sink"}):
        doubtful |= alike if alike <= drawn else set()
    if story.rate is None or story.rate > story.quota / 2:
        doubtful |= {"429", "quota"}  # the pace itself tries how much there is
    if any(task.startswith(MISSING) for _, _, task in story.tasks):
        doubtful |= {"404"}
    return (drawn | ALWAYS) - doubtful


def told(seed: int) -> set[str]:
    """What the watcher met in the story of this seed, beyond doubt."""
    story = draw(seed)
    with capture_logs() as lines:
        record = play(story)
    said = Counter(str(line.get("component", line["event"])).rstrip("0123456789") for line in lines)
    return felt(record, said) & one_cause(story)


def test_all_that_can_be_drawn_is_felt_in_a_run() -> None:
    """For each fault, each trouble, kills, stops, erasures and repeats there is a story in which the watcher met just that."""
    unseen = set(ALL)
    for seed in range(SEEDS):
        if unseen & one_cause(draw(seed)):
            unseen -= told(seed)
    assert unseen == set()
