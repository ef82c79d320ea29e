"""Which notification announced which transition, by the service's timestamps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, REF, watch_of
from watcher.core.polling.announcements import LATE_S, Announcements
from watcher.core.polling.notified_tasks import KEPT_ARRIVALS, KEPT_TASKS, REPEATED_S, NotifiedTasks
from watcher.core.polling.transitions import STALE_S
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, Watch

KIND = builtin_catalog()[REF.kind]
KEY = REF.key


class Case:
    """A task that was created at 0 s and started to run at 2 s. Times are seconds since then."""

    def __init__(self) -> None:
        self.announcements = Announcements()
        self.notified = NotifiedTasks(self.announcements)

    def notify(self, at: float, *, polled: bool = True) -> None:
        self.notified.note(KEY, NOW + at, polled=polled)

    def find(self, before: Watch, status: str, at: float, **times: float) -> None:
        """A poll finds this status; `times` are the service's timestamps."""
        stamps = {name: NOW + time for name, time in {"created_at": 0.0, "started_at": 2.0, **times}.items()}
        self.notified.learn(KIND, before, Observation(status, NOW + at, **stamps))

    def counts(self, status: str = "IN_PROGRESS") -> tuple[float, float]:
        """The weights of announced and of unannounced transitions since the beginning, but for what was forgotten."""
        known = self.announcements.get(KIND.name, status)
        return (0.0, 0.0) if known is None else (round(known.announced), round(known.unannounced) - 19)


@pytest.fixture
def case() -> Case:
    """What the tests begin with: one announcement, so that the status is known."""
    case = Case()
    for status in ("IN_QUEUE", "IN_PROGRESS"):
        case.announcements.learn_announced(KIND.name, status, 0.3)
    return case


def queued(seen: float) -> Watch:
    return watch_of(status="IN_QUEUE", status_since=NOW, created_at=NOW, seen_at=NOW + seen)


def running(seen: float, **facts: Any) -> Watch:
    return watch_of(**{"status": "IN_PROGRESS", "status_since": NOW + 2, "started_at": NOW + 2, "seen_at": NOW + seen} | facts)


def delay_of(case: Case, status: str = "IN_PROGRESS") -> float:
    known = case.announcements.get(KIND.name, status)
    assert known is not None
    return known.delay_s


def test_the_delay_is_that_of_the_arrival_not_of_the_poll() -> None:
    """However late the poll goes, the delay is the time from the change at the service to the arrival of the notification."""
    case = Case()
    case.notify(12.4)
    case.find(running(10), "SUCCEEDED", 29.0, updated_at=12.0)
    assert case.counts() == (1, 0)
    assert delay_of(case) == pytest.approx(0.4)


def test_two_notifications_of_one_transition_count_once() -> None:
    """The first one is the announcement, whether the second one comes before the poll or after it."""
    case = Case()
    for at in (12.4, 12.9):
        case.notify(at)
    case.find(running(10), "SUCCEEDED", 13.0, updated_at=12.0)
    case.notify(14.0, polled=False)
    assert case.counts() == (1, 0)
    assert delay_of(case) == pytest.approx(0.4)


def test_a_repeated_notification_of_an_earlier_transition_teaches_nothing(case: Case) -> None:
    """It comes after its transition was found, while the task is polled on: its poll shows no change, and silence is trusted as before."""
    case.notify(2.3)
    case.find(queued(1), "IN_PROGRESS", 2.4, updated_at=2.0)
    before = case.counts("IN_QUEUE"), case.counts()
    case.notify(3.0)
    assert not case.notified.unexplained(running(3.1))
    assert (case.counts("IN_QUEUE"), case.counts()) == before


def test_a_notification_without_a_change_teaches_nothing(case: Case) -> None:
    """The task is then polled as if there were no notifications, because its own one may have been used up by a stale read."""
    before = case.counts()
    case.notify(9.0)
    assert case.notified.unexplained(running(9.1))
    assert case.notified.unexplained(running(20.0))
    assert case.counts() == before
    assert not case.notified.unexplained(running(9.0 + STALE_S)), "no read is as old as that: it was about something else"


def test_a_notification_about_something_else_announces_no_later_change(case: Case) -> None:
    """A change after it is one that nothing announced, unless another notification came."""
    case.notify(8.0)
    assert case.notified.unexplained(running(8.1))
    case.find(running(10), "SUCCEEDED", 25.0, updated_at=12.0)
    assert case.counts() == (1, 1)
    case.notify(8.0)
    case.notify(12.2)
    case.find(running(10), "SUCCEEDED", 12.3, updated_at=12.0)
    assert case.counts() == (2, 1)


def test_the_announcement_of_a_stale_read_counts_when_the_change_is_seen(case: Case) -> None:
    """Its poll showed nothing, but the service's timestamp says that the change came before it."""
    case.notify(12.3)
    assert case.notified.unexplained(running(12.4))
    case.find(running(12.4), "SUCCEEDED", 14.0, updated_at=12.0)
    assert case.counts() == (2, 0)


def test_a_skipped_status_was_left_too(case: Case) -> None:
    """From the queue to the end in one poll: the notification announced the end, and nothing announced the start."""
    case.notify(12.3)
    case.find(queued(1), "SUCCEEDED", 12.4, updated_at=12.0)
    assert (case.counts("IN_QUEUE"), case.counts()) == ((1, 1), (2, 0))


def test_each_of_two_transitions_may_be_announced(case: Case) -> None:
    """Both between two polls, each with a notification of its own."""
    case.notify(2.2)
    case.notify(12.3)
    case.find(queued(1), "FAILED", 12.4, updated_at=12.0)
    assert (case.counts("IN_QUEUE"), case.counts()) == ((2, 0), (2, 0))


def test_an_announcement_is_of_the_change_before_it_not_of_one_soon_after(case: Case) -> None:
    """A clock that is behind explains an arrival before its change only where no earlier change explains it."""
    before = case.counts("IN_QUEUE")
    case.notify(2.3)
    case.find(queued(1.0), "SUCCEEDED", 9.0, updated_at=3.5)
    assert case.counts("IN_QUEUE")[0] == before[0] + 1
    assert delay_of(case, "IN_QUEUE") == pytest.approx(0.3)


def test_an_announcement_after_the_poll_is_made_up_for(case: Case) -> None:
    """The watch has ended; its transition counts as announced after all, with its delay. A second notification counts no more."""
    case.find(running(10), "SUCCEEDED", 13.0, updated_at=12.0)
    assert case.counts() == (1, 1)
    case.notify(14.0, polled=False)
    case.notify(15.0, polled=False)
    assert case.counts() == (2, 0)
    assert delay_of(case) > 0.3


def test_a_late_announcement_is_not_taken_for_that_of_an_earlier_transition(case: Case) -> None:
    """The start was found unannounced; the notification of the end, soon after, belongs to the end."""
    case.find(queued(1), "IN_PROGRESS", 3.0, updated_at=2.0)
    case.notify(12.3)
    case.find(running(10), "SUCCEEDED", 12.4, updated_at=12.0)
    assert (case.counts("IN_QUEUE"), case.counts()) == ((1, 1), (2, 0))


def test_an_announcement_that_comes_much_too_late_counts_as_none(case: Case) -> None:
    """Nothing can wait so long for it."""
    case.notify(12.0 + LATE_S + 1)
    case.find(running(10), "SUCCEEDED", 12.0 + LATE_S + 2, updated_at=12.0)
    assert case.counts() == (1, 1)


@pytest.mark.parametrize(
    "before",
    [running(10, seen_at=None), running(13), watch_of()],
    ids=["loaded from the store", "seen after it", "never seen"],
)
def test_only_what_happened_while_the_task_was_watched_can_be_missed(case: Case, before: Watch) -> None:
    """After a restart, the notifications of what happened meanwhile may be lost, or still wait in the queue."""
    case.find(before, "SUCCEEDED", 100.0, updated_at=12.0)
    assert case.counts() == (1, 0)


def test_without_timestamps_nothing_is_learned(case: Case) -> None:
    """The time of detection says nothing about the delay."""
    case.notify(12.3)
    case.notified.learn(KIND, running(10), Observation("SUCCEEDED", NOW + 12.4))
    assert case.counts() == (1, 0)


def test_a_clock_that_is_a_little_behind_makes_no_negative_delay() -> None:
    """A notification that seems to arrive before the change announced it, without a delay."""
    case = Case()
    case.notify(11.5)
    case.find(running(10), "SUCCEEDED", 12.1, updated_at=12.0)
    assert (case.counts(), delay_of(case)) == ((1, 0), 0.0)


@given(st.lists(st.floats(0, 1e4), max_size=8), st.floats(0, 1e4), st.floats(0, 1e4))
def test_at_most_one_announcement_is_learned_for_a_transition(arrivals: list[float], end: float, late: float) -> None:
    """However many notifications come, and whenever."""
    case = Case()
    for at in arrivals:
        case.notify(at)
    case.find(running(0), "SUCCEEDED", end + late, updated_at=end)
    assert case.counts()[0] <= 1


def test_what_is_kept_is_limited() -> None:
    """Of more tasks, and of more notifications of one task, the newest are kept: a feed that no poll answers costs no memory."""
    case = Case()
    for n in range(KEPT_TASKS + 10):
        case.notified.note(f"{n}", NOW + 9, polled=True)
    assert len(case.notified._arrivals) == KEPT_TASKS
    assert REPEATED_S < STALE_S
    for n in range(100):
        case.notify(float(n))
    assert len(case.notified._arrivals[KEY]) == KEPT_ARRIVALS


def test_a_change_found_soon_after_it_counts_less_than_one_found_late() -> None:
    """Its age is that at the poll: the announcement of a recent one may be on its way."""
    shares = []
    for late in (0.05, 20.0):
        case = Case()
        for _ in range(100):
            case.announcements.learn_announced(KIND.name, "IN_PROGRESS", 0.3)
        case.find(running(10), "SUCCEEDED", 12.0 + late, updated_at=12.0)
        shares += [known.share for _, known in case.announcements]
    assert shares[0] > shares[1]


def test_a_notification_without_a_change_is_not_that_of_the_start_long_before(case: Case) -> None:
    """Only one that comes soon after the start announced it late."""
    case.find(queued(1), "IN_PROGRESS", 3.0, updated_at=2.0)
    case.notify(2.0 + REPEATED_S + 1)
    assert case.notified.unexplained(running(8.1))
    assert case.counts("IN_QUEUE") == (1, 1)
    soon = Case()
    soon.announcements.learn_announced(KIND.name, "IN_QUEUE", 0.3)
    soon.find(queued(1), "IN_PROGRESS", 3.0, updated_at=2.0)
    soon.notify(4.0)
    assert not soon.notified.unexplained(running(4.1))
    assert soon.counts("IN_QUEUE") == (2, 0)
