"""What an observation means for a watch."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, found, seen, watch_of
from watcher.core.polling.transitions import WatchSettings, advance, digest, end
from watcher.kinds import KINDS, Phase
from watcher.model import EventType, Observation, Watch

KIND = KINDS["speaker-search"]
SETTINGS = WatchSettings()
ORDER = list(KIND.statuses)
REASONS = {"ended", "stale", "unchanged", "status", "result", "terminal", "settled", "deadline"}
KNOWN_PROFILE = found("p-1")
WHOLE = found("p-1", voiceprint="VoiceprintGenerationSuccess")
MEMORY_ONLY = {"polls": 0, "seen_at": None, "failures": 0, "failing_since": None}


def step(watch, observation, **settings):
    return advance(KIND, watch, observation, WatchSettings(**settings))


def after(*observations, **settings):
    """The watch after these observations, and all that was told."""
    watch, told = watch_of(), []
    for observation in observations:
        taken = step(watch, observation, **settings)
        watch, told = taken.watch, told + list(taken.transitions)
    return watch, told


observations = st.builds(
    Observation,
    status=st.sampled_from([*ORDER[:3], *ORDER[:3], *ORDER, "REVIEWING"]),
    observed_at=st.floats(0, 2000).map(lambda s: NOW + s),
    result=st.sampled_from([None, None, found(), KNOWN_PROFILE, WHOLE]),
    created_at=st.sampled_from([None, NOW - 5]),
    started_at=st.sampled_from([None, NOW]),
    updated_at=st.none() | st.floats(0, 2000).map(lambda s: NOW + s),
)
lives = st.lists(observations, max_size=20).map(lambda seen_: sorted(seen_, key=lambda o: o.observed_at))
settings = st.builds(
    WatchSettings, partial_success=st.sampled_from(["settle", "terminal", "transient"]), partial_settle=st.sampled_from([0.0, 100.0, 600.0])
)


@given(lives, settings, st.floats(1, 2500))
def test_any_life_is_told_in_order_and_ends_at_most_once(life: list[Observation], rules: WatchSettings, deadline: float) -> None:
    """Sequences count from 1 without a gap, at most one event is terminal, it is the last, and nothing follows an end."""
    watch, told = watch_of(deadline_at=NOW + deadline), []
    for observation in life:
        taken = advance(KIND, watch, observation, rules)
        assert taken.reason in REASONS
        assert watch.open or taken.watch == watch
        watch, told = taken.watch, told + list(taken.transitions)
    assert [t.sequence for t in told] == list(range(1, len(told) + 1))
    assert watch.sequence == len(told)
    assert [t.terminal for t in told[:-1]] == [False] * (len(told) - 1) if told else watch.open
    assert watch.open == (not told or not told[-1].terminal)


@given(lives, settings)
def test_a_status_never_goes_backwards(life: list[Observation], rules: WatchSettings) -> None:
    """Whatever order the answers come in, each transition leads from the last told status to another, never to an earlier one."""
    watch = watch_of()
    for observation in life:
        taken = advance(KIND, watch, observation, rules)
        for told in taken.transitions:
            if told.type is EventType.TRANSITION:
                assert told.before == watch.status != told.after
                if told.before in ORDER and told.after in ORDER and KIND.phase(told.after) is not Phase.TERMINAL:
                    assert ORDER.index(told.before) < ORDER.index(told.after)
            elif told.type is EventType.UPDATED:
                assert told.before == told.after == watch.status
        watch = taken.watch


@given(lives, settings)
def test_the_store_is_told_exactly_when_the_world_is(life: list[Observation], rules: WatchSettings) -> None:
    """Without an event, all that changes is what lives in memory: an unchanged poll writes nothing, and loses nothing."""
    watch = watch_of()
    for observation in life:
        taken = advance(KIND, watch, observation, rules)
        if not taken.changed:
            assert taken.watch._replace(**MEMORY_ONLY) == watch._replace(**MEMORY_ONLY)
        watch = taken.watch


@given(lives, settings)
def test_what_was_told_survives_a_restart(life: list[Observation], rules: WatchSettings) -> None:
    """A watch that lost its memory between polls, as in a restart, tells the same transitions."""
    lasting = forgetful = watch_of()
    for observation in life:
        one, other = advance(KIND, lasting, observation, rules), advance(KIND, forgetful, observation, rules)
        assert one.transitions == other.transitions
        lasting, forgetful = one.watch, other.watch._replace(**MEMORY_ONLY)


def test_first_sight_is_a_transition_from_nothing() -> None:
    """The first observation tells where the task stands, with `from` empty."""
    watch, told = after(seen("IN_QUEUE", created_at=NOW - 3))
    assert [(t.type, t.sequence, t.before, t.after, t.skipped, t.terminal) for t in told] == [
        (EventType.TRANSITION, 1, None, "IN_QUEUE", (), False)
    ]
    assert (watch.status, watch.status_since, watch.polls, watch.changed_at) == ("IN_QUEUE", NOW - 3, 1, NOW + 1)


@pytest.mark.parametrize("last", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_terminal_status_ends_the_watch(last: str) -> None:
    """Each last word closes the watch, and a later answer changes nothing at all."""
    watch, told = after(seen("IN_PROGRESS"), seen(last, 2))
    assert told[-1].terminal
    assert (watch.ended_at, watch.end_reason) == (NOW + 2, "terminal")
    again = step(watch, seen("IN_PROGRESS", 3, updated_at=NOW + 3))
    assert (again.watch, again.reason, again.transitions) == (watch, "ended", ())


def test_an_unchanged_answer_forgives_what_failed_before() -> None:
    """An answer in hand ends a series of failures and is counted as a poll, and nothing is told."""
    watch = watch_of(status="IN_QUEUE", polls=4, failures=3, failing_since=NOW - 9)
    taken = step(watch, seen("IN_QUEUE", 5))
    assert (taken.reason, taken.changed, taken.wait_s) == ("unchanged", False, None)
    assert (taken.watch.polls, taken.watch.failures, taken.watch.failing_since, taken.watch.seen_at) == (5, 0, None, NOW + 5)


@pytest.mark.parametrize(
    ("before", "answer", "reason"),
    [
        (("IN_PROGRESS", 100.0), ("IN_QUEUE", 50.0), "stale"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", 99.0), "stale"),
        (("IN_PROGRESS", 100.0), ("IN_QUEUE", 200.0), "stale"),
        (("IN_PROGRESS", None), ("IN_QUEUE", None), "stale"),
        (("PARTIAL_SUCCESS", None), ("IN_PROGRESS", None), "stale"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", 100.0), "terminal"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", None), "terminal"),
        (("IN_PROGRESS", None), ("FAILED", 1.0), "terminal"),
        (("REVIEWING", 100.0), ("IN_PROGRESS", 99.0), "stale"),
        (("REVIEWING", 100.0), ("IN_PROGRESS", 101.0), "status"),
        (("IN_PROGRESS", None), ("in_progress", None), "status"),
    ],
)
def test_answers_are_ordered_by_the_services_time_and_by_the_life_of_a_task(before, answer, reason) -> None:
    """An answer older than what is known, or of an earlier status, is dropped; a status of unknown place goes by its time."""
    watch, _ = after(seen(before[0], updated_at=before[1] and NOW + before[1]))
    taken = step(watch, seen(answer[0], 300, updated_at=answer[1] and NOW + answer[1]))
    assert taken.reason == reason
    assert taken.changed == (reason != "stale")


def test_an_end_is_no_step_back_wherever_its_kind_lists_it() -> None:
    """A terminal status that stands before an open one in a kind's list still ends the task."""
    kind = replace(KIND, statuses={"InProgress": Phase.OPEN, "Failed": Phase.TERMINAL, "Stopping": Phase.OPEN, "Stopped": Phase.TERMINAL})
    watch = advance(kind, watch_of(), seen("Stopping"), SETTINGS).watch
    assert advance(kind, watch, seen("Failed", 2), SETTINGS).reason == "terminal"


def test_an_unknown_status_is_told_once_and_polled_on() -> None:
    """A word nobody has heard of is a transition, not an error, and not an end."""
    watch, told = after(seen("IN_QUEUE"), seen("REVIEWING", 2), seen("REVIEWING", 3), seen("SUCCEEDED", 4))
    assert [(t.after, t.skipped, t.terminal) for t in told] == [
        ("IN_QUEUE", (), False),
        ("REVIEWING", (), False),
        ("SUCCEEDED", (), True),
    ]
    assert not watch.open


def test_a_changed_result_is_an_update() -> None:
    """The same status with another result is told as an update, once, and a result that is gone again is no change."""
    watch, told = after(seen("IN_PROGRESS"), seen("IN_PROGRESS", 2, result=KNOWN_PROFILE), seen("IN_PROGRESS", 3, result=KNOWN_PROFILE))
    assert [(t.type, t.sequence, t.result) for t in told[1:]] == [(EventType.UPDATED, 2, KNOWN_PROFILE)]
    assert (watch.result_digest, watch.changed_at) == (digest(KNOWN_PROFILE), NOW + 2)
    assert step(watch, seen("IN_PROGRESS", 4)).reason == "unchanged"


def test_digests_do_not_depend_on_the_order_of_members() -> None:
    """Equal results have equal digests, different ones different, and none has none."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
    assert digest(None) is None


@pytest.mark.parametrize(
    ("mode", "result", "told_as", "reason"),
    [
        ("settle", None, False, "status"),
        ("settle", KNOWN_PROFILE, False, "status"),
        ("settle", WHOLE, True, "settled"),
        ("terminal", None, True, "terminal"),
        ("transient", None, False, "status"),
        ("transient", WHOLE, False, "status"),
    ],
)
def test_partial_success_means_what_the_operator_says(mode, result, told_as, reason) -> None:
    """`settle` ends it with a whole result, `terminal` at once, `transient` never."""
    watch, told = after(seen("IN_PROGRESS"), seen("PARTIAL_SUCCESS", 2, result=result), partial_success=mode)
    assert (told[-1].type, told[-1].terminal) == (EventType.TRANSITION, told_as)
    assert watch.end_reason == (reason if told_as else None)


@pytest.mark.parametrize(
    ("mode", "at", "reason"), [("settle", 601, "unchanged"), ("settle", 602, "settled"), ("transient", 5000, "unchanged")]
)
def test_partial_success_settles_when_nothing_changes(mode, at, reason) -> None:
    """Under `settle` it is the end once nothing has changed for `partial_settle`, to the second; under `transient` never."""
    watch, _ = after(seen("PARTIAL_SUCCESS", 2), partial_success=mode)
    taken = step(watch, seen("PARTIAL_SUCCESS", at), partial_success=mode)
    assert taken.reason == reason
    assert [t.terminal for t in taken.transitions] == ([True] if reason == "settled" else [])


def test_a_new_result_puts_settling_off_and_a_whole_one_ends_it() -> None:
    """Each change begins the wait anew; the voiceprint ends it."""
    watch, _ = after(seen("PARTIAL_SUCCESS", 2), seen("PARTIAL_SUCCESS", 600, result=KNOWN_PROFILE))
    assert step(watch, seen("PARTIAL_SUCCESS", 700, result=KNOWN_PROFILE)).reason == "unchanged"
    last = step(watch, seen("PARTIAL_SUCCESS", 800, result=WHOLE))
    assert [(t.type, t.terminal, t.result) for t in last.transitions] == [(EventType.UPDATED, True, WHOLE)]
    assert last.watch.end_reason == "settled"


def test_partial_success_may_still_become_a_success_or_a_failure() -> None:
    """Under `settle` the last word, when it comes, is told and ends the watch."""
    for last in ("SUCCEEDED", "FAILED"):
        _, told = after(seen("PARTIAL_SUCCESS", 2), seen(last, 3))
        assert (told[-1].before, told[-1].after, told[-1].skipped, told[-1].terminal) == ("PARTIAL_SUCCESS", last, (), True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (seen("IN_QUEUE", 100), [EventType.ENDED]),
        (seen("IN_QUEUE", 100, updated_at=NOW - 50), [EventType.ENDED]),
        (seen("IN_PROGRESS", 100), [EventType.TRANSITION, EventType.ENDED]),
        (seen("SUCCEEDED", 100), [EventType.TRANSITION]),
        (seen("IN_PROGRESS", 99), [EventType.TRANSITION]),
    ],
    ids=["unchanged", "stale", "changed", "terminal", "in-time"],
)
def test_a_deadline_ends_a_watch_with_an_answer_in_hand(answer, told) -> None:
    """Past its deadline a watch ends by `deadline`, behind what the answer itself tells; a terminal answer is an end already."""
    watch = watch_of(status="IN_QUEUE", sequence=1, updated_at=NOW, deadline_at=NOW + 100)
    taken = step(watch, answer)
    assert [t.type for t in taken.transitions] == told
    assert [t.sequence for t in taken.transitions] == list(range(2, 2 + len(told)))
    assert [t.terminal for t in taken.transitions] == [False] * (len(told) - 1) + [not taken.watch.open]
    assert taken.watch.end_reason == (None if taken.watch.open else "terminal" if answer.status == "SUCCEEDED" else "deadline")


def test_an_end_without_a_terminal_status_says_why() -> None:
    """`end` tells of the last known status, of no new one, and of the reason."""
    ended = end(watch_of(status="IN_PROGRESS", sequence=2), "not_found", NOW + 9)
    (told,) = ended.transitions
    assert (told.type, told.sequence, told.before, told.after, told.terminal, told.reason) == (
        EventType.ENDED, 3, "IN_PROGRESS", None, True, "not_found",
    )  # fmt: skip
    assert (ended.reason, ended.watch.ended_at, ended.watch.end_reason) == ("not_found", NOW + 9, "not_found")


@pytest.mark.parametrize(
    ("answer", "since"),
    [
        (seen("IN_QUEUE", 50, created_at=NOW + 10, started_at=NOW + 20, updated_at=NOW + 30), 10),
        (seen("IN_PROGRESS", 50, created_at=NOW + 10, started_at=NOW + 20, updated_at=NOW + 30), 20),
        (seen("SUCCEEDED", 50, created_at=NOW + 10, started_at=NOW + 20, updated_at=NOW + 30), 30),
        (seen("IN_PROGRESS", 50), 50),
        (seen("IN_PROGRESS", 50, started_at=NOW + 70), 50),
    ],
)
def test_a_status_began_when_the_service_says(answer, since) -> None:
    """The age of a status counts from the service's timestamp for it, and never from later than it was seen."""
    assert step(watch_of(), answer).watch.status_since == NOW + since


def test_an_event_is_dated_by_its_own_change() -> None:
    """A change that comes without UpdatedTimestamp does not inherit that of the change before, which would date it too early."""
    watch, _ = after(seen("IN_PROGRESS", 5, created_at=NOW, started_at=NOW + 1, updated_at=NOW + 2), seen("SUCCEEDED", 60))
    assert (watch.updated_at, watch.created_at, watch.started_at) == (None, NOW, NOW + 1)


def test_a_decision_changes_no_fact() -> None:
    """The watch that went in is as it was."""
    watch = watch_of(status="IN_QUEUE")
    before = Watch(*watch)
    step(watch, seen("SUCCEEDED"))
    assert watch == before
