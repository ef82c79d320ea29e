from __future__ import annotations

import pytest
from pydantic import ValidationError

from watcher.model import TaskRef
from watcher.simulator import Scenario, TaskTable
from watcher.simulator.simulated_kinds import RETENTION_S, SPEAKER_SEARCH, STATUSES, TERMINAL, VOICE_TONE
from watcher.simulator.simulated_task import SimulatedTask

T0 = 1_800_000_000.0


def ref(task_id: str) -> TaskRef:
    return TaskRef("speaker-search", ("vc", task_id))


def table(scenario: Scenario, n: int = 300) -> TaskTable:
    """A table with `n` tasks t0, t1, … that begin at T0."""
    tasks = TaskTable(scenario)
    for i in range(n):
        tasks.find(SPEAKER_SEARCH, "vc", f"t{i}", T0)
    return tasks


def get(tasks: TaskTable, task_id: str = "t0") -> SimulatedTask:
    task = tasks.get(ref(task_id))
    assert task is not None
    return task


def test_a_task_does_not_depend_on_the_order_of_the_calls() -> None:
    """The same seed gives a task the same statuses, whichever other tasks and kinds were called for before."""
    forwards, backwards = TaskTable(Scenario(seed=7)), TaskTable(Scenario(seed=7))
    for i in range(50):
        forwards.find(SPEAKER_SEARCH, "vc", f"t{i}", T0)
    for i in reversed(range(50)):
        backwards.find(VOICE_TONE, "vc", f"t{i}", T0)
        backwards.find(SPEAKER_SEARCH, "vc", f"t{i}", T0)
    assert all(get(forwards, f"t{i}") == get(backwards, f"t{i}") for i in range(50))


def test_another_seed_gives_other_tasks() -> None:
    """Tasks differ between seeds, and between voice connectors for one task id."""
    one, two = table(Scenario(seed=1), 20), table(Scenario(seed=2), 20)
    assert [one.truth(ref(f"t{i}")) for i in range(20)] != [two.truth(ref(f"t{i}")) for i in range(20)]
    one.find(SPEAKER_SEARCH, "other", "t0", T0)
    assert one.truth(TaskRef("speaker-search", ("other", "t0"))) != one.truth(ref("t0"))


def test_tasks_have_the_statuses_of_the_api_in_order() -> None:
    """Each task starts in the queue, has statuses of the API in their order, and ends in one terminal status."""
    tasks = table(Scenario(partial=0.5, failed=0.2, stopped=0.2))
    seen = set()
    for i in range(300):
        statuses, times = zip(*tasks.truth(ref(f"t{i}")), strict=True)
        seen.update(statuses)
        assert statuses[0] == "IN_QUEUE"
        assert [STATUSES.index(s) for s in statuses] == sorted(STATUSES.index(s) for s in statuses)
        assert list(times) == sorted(times)
        assert [s in TERMINAL for s in statuses] == [False] * (len(statuses) - 1) + [True]
    assert seen == set(STATUSES)


def test_the_shares_of_failed_and_stopped_tasks_match_the_scenario() -> None:
    """As many tasks fail and stop as the scenario says."""
    tasks = table(Scenario(failed=0.3, stopped=0.2), 2000)
    ends = [tasks.truth(ref(f"t{i}"))[-1][0] for i in range(2000)]
    assert ends.count("FAILED") / 2000 == pytest.approx(0.3, abs=0.04)
    assert ends.count("STOPPED") / 2000 == pytest.approx(0.2, abs=0.04)


def test_shares_of_more_than_one_are_invalid() -> None:
    """Failed and stopped tasks together cannot be more than all tasks."""
    with pytest.raises(ValidationError, match="together at most 1"):
        Scenario(failed=0.7, stopped=0.7)


def test_observations_match_the_truth_at_any_time() -> None:
    """A task shows the status that the truth has for this millisecond, with its timestamp."""
    tasks = table(Scenario(partial=0.5), 50)
    for i in range(50):
        task, truth = get(tasks, f"t{i}"), tasks.truth(ref(f"t{i}"))
        for n, (status, at) in enumerate(truth):
            if n + 1 < len(truth) and truth[n + 1][1] == at:
                continue  # a status that lasts less than a millisecond is never shown
            assert task.observation(at, at).status == status
            assert task.observation(at, at).updated_at == at
            if n and truth[n - 1][1] < at:
                assert task.observation(at - 0.001, at).status == truth[n - 1][0]


def test_the_result_grows_with_the_status() -> None:
    """There are no matches before PARTIAL_SUCCESS and no voiceprint before SUCCEEDED; a failed task has a message and no result."""
    tasks = table(Scenario(partial=1, failed=0.5, stopped=0))
    for i in range(300):
        task = get(tasks, f"t{i}")
        by_status = {status: task.observation(at, at) for status, at in task.truth()}
        assert by_status["IN_PROGRESS"].result is None
        if "FAILED" in by_status:
            assert by_status["FAILED"].message
            assert by_status["FAILED"].result is None
        else:
            partial, whole = by_status["PARTIAL_SUCCESS"].result, by_status["SUCCEEDED"].result
            assert partial is not None
            assert whole is not None
            assert partial["voiceprint"] is None
            assert whole["voiceprint"] is not None
            assert whole == {"voiceprint": whole["voiceprint"], "matches": partial["matches"]}


def test_a_task_that_stays_partial_gets_its_voiceprint_later() -> None:
    """With partial_stays the status stays PARTIAL_SUCCESS, and the voiceprint and the timestamp change later."""
    task = get(table(Scenario(partial=1, partial_stays=1, failed=0, stopped=0, durations="queue=0,run=fixed(10)"), 1))
    status, at = task.truth()[-1]
    early, late = task.observation(at, at), task.observation(T0 + 10, T0 + 10)
    assert (status, early.status, late.status) == ("PARTIAL_SUCCESS",) * 3
    assert early.result is not None
    assert late.result is not None
    assert (early.result["voiceprint"] is None, late.result["voiceprint"] is None) == (True, False)
    assert (early.updated_at, late.updated_at) == (at, T0 + 10)


def test_a_stopped_task_stays_stopped() -> None:
    """A stop ends a running task at that moment; it changes nothing about a task that has ended."""
    tasks = table(Scenario(durations="queue=1,run=fixed(10)", failed=0, stopped=0, partial=0), 2)
    running, ended = get(tasks, "t0"), get(tasks, "t1")
    running.stop(T0 + 5)
    ended.stop(T0 + 20)
    running.stop(T0 + 6)
    assert running.truth() == (("IN_QUEUE", T0), ("IN_PROGRESS", T0 + 1), ("STOPPED", T0 + 5))
    assert ended.truth()[-1] == ("SUCCEEDED", T0 + 11)


def test_a_status_is_seen_at_the_moment_it_is_set() -> None:
    """A status is seen at the time at which it was set, also where that time is rounded up to a millisecond."""
    task = get(table(Scenario(seed=1), 1))
    for status, now in (("FAILED", T0 + 100 - 5e-7), ("IN_QUEUE", T0 + 200 - 5e-7)):
        task.set_status(status, now)
        assert task.period(now).status == status


def test_a_run_of_never_has_no_end() -> None:
    """With `run=never` a task stays in progress."""
    tasks = table(Scenario(durations="queue=1,run=never"), 1)
    assert tasks.truth(ref("t0")) == (("IN_QUEUE", T0), ("IN_PROGRESS", T0 + 1))
    assert get(tasks).ended_at is None
    assert get(tasks).observation(T0 + 1e8, 0).status == "IN_PROGRESS"


def test_a_request_token_identifies_a_task() -> None:
    """Start requests with the same ClientRequestToken return the same task; each one without a token creates a task."""
    tasks, request = TaskTable(Scenario()), {"TransactionId": "call-1", "VoiceProfileDomainId": "d"}
    token = {**request, "ClientRequestToken": "once"}
    first = tasks.start(SPEAKER_SEARCH, "vc", token, T0)
    assert tasks.start(SPEAKER_SEARCH, "vc", token, T0 + 5) is first
    assert len({tasks.start(SPEAKER_SEARCH, "vc", request, T0).task_id for _ in range(5)} | {first.task_id}) == 6
    assert first.call.transaction_id == "call-1"


def test_with_known_only_a_task_must_be_started() -> None:
    """A Get creates no task, and a started task is found."""
    tasks = TaskTable(Scenario(known_only=True))
    assert tasks.find(SPEAKER_SEARCH, "vc", "t", T0) is None
    started = tasks.start(SPEAKER_SEARCH, "vc", {"TransactionId": "c"}, T0)
    assert tasks.find(SPEAKER_SEARCH, "vc", started.task_id, T0) is started


def test_a_task_is_not_found_after_the_retention() -> None:
    """Seven days after its end a task is not found, and it is not created again."""
    tasks = table(Scenario(durations="queue=0,run=fixed(10)"), 1)
    assert tasks.find(SPEAKER_SEARCH, "vc", "t0", T0 + 9 + RETENTION_S) is not None
    assert tasks.find(SPEAKER_SEARCH, "vc", "t0", T0 + 11 + RETENTION_S) is None


def test_the_number_of_tasks_is_bounded() -> None:
    """The table keeps as many tasks as the scenario allows, and forgets the oldest first."""
    tasks = table(Scenario(max_tasks=10), 25)
    assert [r.params[1] for r in tasks.refs()] == [f"t{i}" for i in range(15, 25)]


def test_the_mark_is_on_everything_private() -> None:
    """Every transaction id, profile id and message begins with the mark, so that a privacy test can search for it."""
    tasks = table(Scenario(mark="CANARY-", failed=0.5))
    for i in range(300):
        task = get(tasks, f"t{i}")
        assert task.call.transaction_id.startswith("CANARY-")
        assert task.message.startswith("CANARY-")
        assert all(match.profile_id.startswith("CANARY-") for match in task.matches)
