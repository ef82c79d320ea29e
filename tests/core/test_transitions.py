"""What an observation means for a watch: which transitions it emits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, found, seen, watch_of
from watcher.core.polling.transitions import STALE_S, WatchSettings, advance, digest, end
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Phase, StatusClass
from watcher.model import EventType, Observation, Watch

KIND = builtin_catalog()["speaker-search"]
SETTINGS = WatchSettings()
ORDER = list(KIND.statuses)
REASONS = {"ended", "stale", "unchanged", "status", "result", "terminal", "settled", "deadline"}
KNOWN_PROFILE = found("p-1")
COMPLETE = found("p-1", voiceprint="VoiceprintGenerationSuccess")
MEMORY_ONLY = {"polls": 0, "seen_at": None, "failures": 0, "failing_since": None}


def step(watch, observation, **settings):
    return advance(KIND, watch, observation, WatchSettings(**settings))


def after(*observations, **settings):
    """The watch after these observations, and all transitions emitted."""
    watch, emitted = watch_of(), []
    for observation in observations:
        taken = step(watch, observation, **settings)
        watch, emitted = taken.watch, emitted + list(taken.transitions)
    return watch, emitted


observations = st.builds(
    Observation,
    status=st.sampled_from([*ORDER[:3], *ORDER[:3], *ORDER, "REVIEWING"]),
    observed_at=st.floats(0, 2000).map(lambda s: NOW + s),
    result=st.sampled_from([None, None, found(), KNOWN_PROFILE, COMPLETE]),
    created_at=st.sampled_from([None, NOW - 5]),
    started_at=st.sampled_from([None, NOW]),
    updated_at=st.none() | st.floats(0, 2000).map(lambda s: NOW + s),
)
histories = st.lists(observations, max_size=20).map(lambda seen_: sorted(seen_, key=lambda o: o.observed_at))
any_settings = st.builds(
    WatchSettings, partial_success=st.sampled_from(["settle", "terminal", "transient"]), partial_settle=st.sampled_from([0.0, 100.0, 600.0])
)


@given(histories, any_settings, st.floats(1, 2500))
def test_any_history_is_emitted_in_order_and_ends_at_most_once(
    history: list[Observation], settings: WatchSettings, deadline: float
) -> None:
    """Sequence numbers start at 1 without a gap, at most one transition is terminal, and none follows it."""
    watch, emitted = watch_of(deadline_at=NOW + deadline), []
    for observation in history:
        taken = advance(KIND, watch, observation, settings)
        assert taken.reason in REASONS
        assert watch.open or taken.watch == watch
        watch, emitted = taken.watch, emitted + list(taken.transitions)
    assert [t.sequence for t in emitted] == list(range(1, len(emitted) + 1))
    assert watch.sequence == len(emitted)
    assert [t.terminal for t in emitted[:-1]] == [False] * (len(emitted) - 1) if emitted else watch.open
    assert watch.open == (not emitted or not emitted[-1].terminal)


@given(histories, any_settings)
def test_a_status_never_goes_backwards(history: list[Observation], settings: WatchSettings) -> None:
    """Whatever the order of the observations, each transition leads from the last emitted status to another, never to an earlier one."""
    watch = watch_of()
    for observation in history:
        taken = advance(KIND, watch, observation, settings)
        for transition in taken.transitions:
            if transition.type is EventType.TRANSITION:
                assert transition.before == watch.status != transition.after
                if transition.before in ORDER and transition.after in ORDER and KIND.phase(transition.after) is not Phase.TERMINAL:
                    assert ORDER.index(transition.before) < ORDER.index(transition.after)
            elif transition.type is EventType.UPDATED:
                assert transition.before == transition.after == watch.status
        watch = taken.watch


@given(histories, any_settings)
def test_a_poll_without_a_transition_changes_nothing_that_is_stored(history: list[Observation], settings: WatchSettings) -> None:
    """Without a transition, only the fields that are in memory change, so that nothing needs to be written."""
    watch = watch_of()
    for observation in history:
        taken = advance(KIND, watch, observation, settings)
        if not taken.changed:
            assert taken.watch._replace(**MEMORY_ONLY) == watch._replace(**MEMORY_ONLY)
        watch = taken.watch


@given(histories, any_settings)
def test_a_restart_changes_no_transition(history: list[Observation], settings: WatchSettings) -> None:
    """A watch that lost its fields in memory between two polls emits the same transitions."""
    continuous = restarted = watch_of()
    for observation in history:
        one, other = advance(KIND, continuous, observation, settings), advance(KIND, restarted, observation, settings)
        assert one.transitions == other.transitions
        continuous, restarted = one.watch, other.watch._replace(**MEMORY_ONLY)


def test_the_first_observation_is_a_transition_from_no_status() -> None:
    """It has the present status of the task, and `from` is empty."""
    watch, emitted = after(seen("IN_QUEUE", created_at=NOW - 3))
    assert [(t.type, t.sequence, t.before, t.after, t.skipped, t.terminal) for t in emitted] == [
        (EventType.TRANSITION, 1, None, "IN_QUEUE", (), False)
    ]
    assert (watch.status, watch.status_since, watch.polls, watch.changed_at) == ("IN_QUEUE", NOW - 3, 1, NOW + 1)


@pytest.mark.parametrize("last", ["SUCCEEDED", "FAILED", "STOPPED"])
def test_a_terminal_status_ends_the_watch(last: str) -> None:
    """Each terminal status ends the watch, and a later observation changes nothing."""
    watch, emitted = after(seen("IN_PROGRESS"), seen(last, 2))
    assert emitted[-1].terminal
    assert (watch.ended_at, watch.end_reason) == (NOW + 2, "terminal")
    again = step(watch, seen("IN_PROGRESS", 3, updated_at=NOW + 3))
    assert (again.watch, again.reason, again.transitions) == (watch, "ended", ())


def test_an_unchanged_observation_ends_a_series_of_failures() -> None:
    """It counts as a poll, and emits nothing."""
    watch = watch_of(status="IN_QUEUE", polls=4, failures=3, failing_since=NOW - 9)
    taken = step(watch, seen("IN_QUEUE", 5))
    assert (taken.reason, taken.changed, taken.wait_s) == ("unchanged", False, None)
    assert (taken.watch.polls, taken.watch.failures, taken.watch.failing_since, taken.watch.seen_at) == (5, 0, None, NOW + 5)


@pytest.mark.parametrize(
    ("before", "answer", "reason"),
    [
        (("IN_PROGRESS", 100.0), ("IN_QUEUE", 50.0), "stale"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", 99.0), "terminal"),
        (("IN_PROGRESS", 3700.0), ("PARTIAL_SUCCESS", 299.0), "status"),
        (("IN_PROGRESS", 100.0), ("IN_QUEUE", 200.0), "stale"),
        (("IN_PROGRESS", None), ("IN_QUEUE", None), "stale"),
        (("PARTIAL_SUCCESS", None), ("IN_PROGRESS", None), "stale"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", 100.0), "terminal"),
        (("IN_PROGRESS", 100.0), ("SUCCEEDED", None), "terminal"),
        (("IN_PROGRESS", None), ("FAILED", 1.0), "terminal"),
        (("REVIEWING", 400.0), ("IN_PROGRESS", 399.0), "status"),
        (("REVIEWING", 100.0), ("IN_PROGRESS", 101.0), "status"),
        (("IN_PROGRESS", None), ("in_progress", None), "status"),
    ],
)
def test_an_outdated_observation_is_stale(before, answer, reason) -> None:
    """It is of an earlier status. Timestamps make none stale five minutes later: they may be ahead, behind, or frozen."""
    watch, _ = after(seen(before[0], updated_at=before[1] and NOW + before[1]))
    taken = step(watch, seen(answer[0], 300, updated_at=answer[1] and NOW + answer[1]))
    assert taken.reason == reason
    assert taken.changed == (reason != "stale")


@pytest.mark.parametrize(
    ("after_s", "answer", "reason"),
    [
        (5, seen("PARTIAL_SUCCESS", result=KNOWN_PROFILE), "stale"),
        (STALE_S - 0.1, seen("PARTIAL_SUCCESS", result=KNOWN_PROFILE), "stale"),
        (STALE_S, seen("PARTIAL_SUCCESS", result=KNOWN_PROFILE), "result"),
        (STALE_S - 0.1, seen("REVIEWING"), "stale"),
        (STALE_S, seen("REVIEWING"), "status"),
        (5, seen("PARTIAL_SUCCESS"), "stale"),
        (STALE_S, seen("PARTIAL_SUCCESS"), "unchanged"),
        (STALE_S * 50, seen("IN_PROGRESS"), "stale"),
    ],
)
def test_an_older_timestamp_makes_stale_for_a_minute(after_s, answer, reason) -> None:
    """Where statuses have no order, an answer with an older timestamp that still comes a minute after the last change is the truth."""
    watch, _ = after(seen("PARTIAL_SUCCESS", 10, result=found("p-2"), updated_at=NOW + 3600))
    assert step(watch, replace(answer, observed_at=NOW + 10 + after_s, updated_at=NOW + 9), partial_settle=9999).reason == reason


stamps = st.none() | st.sampled_from([-1e9, -5.0, 0.0, 3600.0, 80_000.0]) | st.floats(-9e4, 9e4)


@given(st.lists(st.integers(0, 3), max_size=6).map(sorted), st.sampled_from(["SUCCEEDED", "FAILED", "STOPPED"]), st.data())
def test_no_status_is_missed_whatever_the_timestamps(places: list[int], last: str, data: st.DataObject) -> None:
    """A task that goes through its statuses in order reports each one that was observed, and its end, with any timestamps."""
    statuses = [*(ORDER[place] for place in places if KIND.phase(ORDER[place]) is not Phase.TERMINAL), last]
    watch, emitted = watch_of(), []
    for n, status in enumerate(statuses):
        at = [None if stamp is None else NOW + stamp for stamp in (data.draw(stamps), data.draw(stamps), data.draw(stamps))]
        taken = step(watch, Observation(status, NOW + n, None, *at), partial_success="transient")
        watch, emitted = taken.watch, emitted + list(taken.transitions)
    assert [t.after for t in emitted if t.type is EventType.TRANSITION] == list(dict.fromkeys(statuses))
    assert (watch.end_reason, watch.sequence) == ("terminal", len(emitted))


def test_a_terminal_status_is_never_stale_by_its_place() -> None:
    """A terminal status that comes before an open one in the list of its kind still ends the watch."""
    open_, failed = StatusClass.OPEN, StatusClass.FAILED
    kind = replace(KIND, statuses={"InProgress": open_, "Failed": failed, "Stopping": open_, "Stopped": failed})
    watch = advance(kind, watch_of(), seen("Stopping"), SETTINGS).watch
    assert advance(kind, watch, seen("Failed", 2), SETTINGS).reason == "terminal"


def test_an_unknown_status_is_an_open_status() -> None:
    """It is emitted as a transition, and the task is polled on."""
    watch, emitted = after(seen("IN_QUEUE"), seen("REVIEWING", 2), seen("REVIEWING", 3), seen("SUCCEEDED", 4))
    assert [(t.after, t.skipped, t.terminal) for t in emitted] == [
        ("IN_QUEUE", (), False),
        ("REVIEWING", (), False),
        ("SUCCEEDED", (), True),
    ]
    assert not watch.open


def test_a_changed_result_is_an_update() -> None:
    """The same status with another result is emitted as an update, one time, and a missing result is no change."""
    watch, emitted = after(seen("IN_PROGRESS"), seen("IN_PROGRESS", 2, result=KNOWN_PROFILE), seen("IN_PROGRESS", 3, result=KNOWN_PROFILE))
    assert [(t.type, t.sequence, t.result) for t in emitted[1:]] == [(EventType.UPDATED, 2, KNOWN_PROFILE)]
    assert (watch.result_digest, watch.changed_at) == (digest(KNOWN_PROFILE), NOW + 2)
    assert step(watch, seen("IN_PROGRESS", 4)).reason == "unchanged"


def test_digests_do_not_depend_on_the_order_of_members() -> None:
    """Equal results have equal digests, different results have different ones, and no result has no digest."""
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
    assert digest(None) is None


@pytest.mark.parametrize(
    ("results", "emitted_results"),
    [
        ([KNOWN_PROFILE, None, KNOWN_PROFILE], [KNOWN_PROFILE]),
        ([KNOWN_PROFILE, None, None, found("p-2"), None, found("p-2")], [KNOWN_PROFILE, found("p-2")]),
        ([None, KNOWN_PROFILE, found("p-2"), KNOWN_PROFILE], [KNOWN_PROFILE, found("p-2"), KNOWN_PROFILE]),
        ([found(), None, found(), KNOWN_PROFILE, None, found()], [found(), KNOWN_PROFILE, found()]),
    ],
)
@pytest.mark.parametrize("status", ["IN_PROGRESS", "PARTIAL_SUCCESS"])
def test_a_result_that_disappears_and_comes_back_is_no_change(status, results, emitted_results) -> None:
    """A reply without a result says nothing about it: only a result that differs from the last one is emitted."""
    replies = [seen(status, at, result=result) for at, result in enumerate(results, 1)]
    _, emitted = after(seen(status, 0.5), *replies)
    assert [t.result for t in emitted[1:]] == emitted_results


def test_a_result_that_disappears_with_a_change_of_status_is_still_known() -> None:
    """A new status without a result does not make the last result new when it comes back."""
    history = [("IN_PROGRESS", KNOWN_PROFILE), ("PARTIAL_SUCCESS", None), ("PARTIAL_SUCCESS", KNOWN_PROFILE)]
    _, emitted = after(*(seen(status, at, result=result) for at, (status, result) in enumerate(history, 1)))
    assert [(t.type, t.after) for t in emitted] == [(EventType.TRANSITION, "IN_PROGRESS"), (EventType.TRANSITION, "PARTIAL_SUCCESS")]


@pytest.mark.parametrize(
    ("mode", "result", "terminal", "reason"),
    [
        ("settle", None, False, "status"),
        ("settle", KNOWN_PROFILE, False, "status"),
        ("settle", COMPLETE, True, "settled"),
        ("terminal", None, True, "terminal"),
        ("transient", None, False, "status"),
        ("transient", COMPLETE, False, "status"),
    ],
)
def test_partial_success_follows_the_setting(mode, result, terminal, reason) -> None:
    """`settle` ends the watch with a complete result, `terminal` at once, `transient` never."""
    watch, emitted = after(seen("IN_PROGRESS"), seen("PARTIAL_SUCCESS", 2, result=result), partial_success=mode)
    assert (emitted[-1].type, emitted[-1].terminal) == (EventType.TRANSITION, terminal)
    assert watch.end_reason == (reason if terminal else None)


@pytest.mark.parametrize(
    ("mode", "at", "reason"), [("settle", 601, "unchanged"), ("settle", 602, "settled"), ("transient", 5000, "unchanged")]
)
def test_partial_success_settles_when_nothing_changes(mode, at, reason) -> None:
    """Under `settle` the watch ends once nothing has changed for `partial_settle`, to the second; under `transient` it never does."""
    watch, _ = after(seen("PARTIAL_SUCCESS", 2), partial_success=mode)
    taken = step(watch, seen("PARTIAL_SUCCESS", at), partial_success=mode)
    assert taken.reason == reason
    assert [t.terminal for t in taken.transitions] == ([True] if reason == "settled" else [])


def test_a_new_result_restarts_settling_and_a_complete_one_ends_it() -> None:
    """Each change restarts the time of `partial_settle`, and a result with a voiceprint ends the watch."""
    watch, _ = after(seen("PARTIAL_SUCCESS", 2), seen("PARTIAL_SUCCESS", 600, result=KNOWN_PROFILE))
    assert step(watch, seen("PARTIAL_SUCCESS", 700, result=KNOWN_PROFILE)).reason == "unchanged"
    last = step(watch, seen("PARTIAL_SUCCESS", 800, result=COMPLETE))
    assert [(t.type, t.terminal, t.result) for t in last.transitions] == [(EventType.UPDATED, True, COMPLETE)]
    assert last.watch.end_reason == "settled"


def test_partial_success_may_still_become_a_success_or_a_failure() -> None:
    """Under `settle` the terminal status, when it comes, is emitted and ends the watch."""
    for last in ("SUCCEEDED", "FAILED"):
        _, emitted = after(seen("PARTIAL_SUCCESS", 2), seen(last, 3))
        assert (emitted[-1].before, emitted[-1].after, emitted[-1].skipped, emitted[-1].terminal) == ("PARTIAL_SUCCESS", last, (), True)


@pytest.mark.parametrize(
    ("answer", "types"),
    [
        (seen("IN_QUEUE", 100), [EventType.ENDED]),
        (seen("IN_QUEUE", 100, updated_at=NOW - 50), [EventType.ENDED]),
        (seen("IN_PROGRESS", 100), [EventType.TRANSITION, EventType.ENDED]),
        (seen("SUCCEEDED", 100), [EventType.TRANSITION]),
        (seen("IN_PROGRESS", 99), [EventType.TRANSITION]),
    ],
    ids=["unchanged", "stale", "changed", "terminal", "in-time"],
)
def test_an_observation_after_the_deadline_ends_the_watch(answer, types) -> None:
    """The watch ends with `deadline` after the transition of the observation itself, unless that is terminal already."""
    watch = watch_of(status="IN_QUEUE", sequence=1, updated_at=NOW, deadline_at=NOW + 100)
    taken = step(watch, answer)
    assert [t.type for t in taken.transitions] == types
    assert [t.sequence for t in taken.transitions] == list(range(2, 2 + len(types)))
    assert [t.terminal for t in taken.transitions] == [False] * (len(types) - 1) + [not taken.watch.open]
    assert taken.watch.end_reason == (None if taken.watch.open else "terminal" if answer.status == "SUCCEEDED" else "deadline")


def test_an_end_without_a_terminal_status_has_a_reason() -> None:
    """The transition has the last known status, no new one, and the reason."""
    ended = end(watch_of(status="IN_PROGRESS", sequence=2), "not_found", NOW + 9)
    (one,) = ended.transitions
    assert (one.type, one.sequence, one.before, one.after) == (EventType.ENDED, 3, "IN_PROGRESS", None)
    assert (one.terminal, one.reason) == (True, "not_found")
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
def test_a_status_begins_at_the_services_timestamp(answer, since) -> None:
    """Its age counts from the service's timestamp for that status, and never from later than it was observed."""
    assert step(watch_of(), answer).watch.status_since == NOW + since


def test_a_change_without_a_timestamp_does_not_inherit_an_earlier_one() -> None:
    """The timestamp of the change before would date it too early."""
    watch, _ = after(seen("IN_PROGRESS", 5, created_at=NOW, started_at=NOW + 1, updated_at=NOW + 2), seen("SUCCEEDED", 60))
    assert (watch.updated_at, watch.created_at, watch.started_at) == (None, NOW, NOW + 1)


def test_advance_does_not_change_its_arguments() -> None:
    """The watch that was passed in is as before."""
    watch = watch_of(status="IN_QUEUE")
    before = Watch(*watch)
    step(watch, seen("SUCCEEDED"))
    assert watch == before
