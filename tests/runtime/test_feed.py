"""The feed: what is announced reaches every subscriber, in order."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contracts.store_exam.facts import a_watch, an_event
from watcher.model import Event, Watch
from watcher.runtime.feed import Feed


def test_new_watches_reach_every_subscriber_in_the_order_of_subscription() -> None:
    """Each subscriber gets the same watches, before `admitted` returns."""
    feed, seen = Feed(), list[tuple[str, Sequence[Watch]]]()
    feed.on_admitted(lambda watches, observed, source: seen.append(("first", watches)))
    feed.on_admitted(lambda watches, observed, source: seen.append(("second", watches)))
    watches = [a_watch("t1"), a_watch("t2")]
    feed.admitted(watches)
    assert seen == [("first", watches), ("second", watches)]


def test_events_reach_every_subscriber_with_their_shard() -> None:
    """Counters subscribe before sink workers, so an event is counted before it can be delivered."""
    feed, seen = Feed(), list[tuple[str, int, Sequence[Event]]]()
    feed.on_events(lambda shard, events: seen.append(("counter", shard, events)))
    feed.on_events(lambda shard, events: seen.append(("worker", shard, events)))
    events = [an_event(a_watch("t1"), "IN_PROGRESS", 1.0)]
    feed.events(3, events)
    assert seen == [("counter", 3, events), ("worker", 3, events)]


def test_a_notification_reaches_every_subscriber_and_says_whether_one_polls_the_task() -> None:
    """The first subscriber that polls the task does not keep the notification from the others."""
    feed, seen = Feed(), list[tuple[str, str]]()

    def subscriber(name: str, polls: bool) -> None:
        def notified(key: str) -> bool:
            seen.append((name, key))
            return polls

        feed.on_notified(notified)

    assert not feed.notified("key")
    subscriber("idle", polls=False)
    assert not feed.notified("key")
    subscriber("polling", polls=True)
    subscriber("other", polls=False)
    seen.clear()
    assert feed.notified("key")
    assert seen == [("idle", "key"), ("polling", "key"), ("other", "key")]


def test_an_announcement_without_subscribers_has_no_effect() -> None:
    """A watcher without sinks commits events all the same."""
    feed = Feed()
    feed.admitted([a_watch("t1")])
    feed.events(0, [an_event(a_watch("t1"), "IN_PROGRESS", 1.0)])
