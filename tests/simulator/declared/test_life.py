from __future__ import annotations

from random import Random

import pytest

from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Kind, Phase
from watcher.simulator import Scenario
from watcher.simulator.declared.life import DeclaredTask, create_task

T0 = 1_800_000_000.0


def made(kind: str, *params: str, seed: int = 1, **scenario: object) -> DeclaredTask:
    return create_task(Scenario(**scenario), builtin_catalog()[kind], params or ("job-1",), T0, Random(seed))


def statuses(task: DeclaredTask) -> list[str]:
    return [status for status, _ in task.truth()]


def test_each_open_status_lasts_as_the_scenario_says() -> None:
    """All open statuses but the last one last as long as a queue, the last one as a run; the next call about the task finds them so."""
    task = made("batch-job", durations="queue=2,run=30", failed=0, stopped=0, seed=3)
    *queued, running, end = task.truth()
    assert statuses(task)[-2:] == ["RUNNING", "SUCCEEDED"]
    assert [at for _, at in queued] == [T0 + 2 * n for n in range(len(queued))]
    assert (running[1], end[1]) == (T0 + 2 * len(queued), T0 + 2 * len(queued) + 30)
    assert task.started_at(end[1]) == running[1]
    assert task.started_at(T0) is None


def test_a_status_that_can_be_skipped_is_in_some_tasks() -> None:
    """Half of the tasks have it; a kind whose open statuses can all be skipped begins with one of them."""
    lives = [statuses(made("batch-job", seed=seed)) for seed in range(40)]
    assert 0 < sum("PENDING" in life for life in lives) < 40
    stacks = [made("cloudformation-stack", seed=seed) for seed in range(40)]
    assert all(task.kind.phase(statuses(task)[0]) is Phase.OPEN for task in stacks)


@pytest.mark.parametrize(
    ("kind", "params", "end"),
    [
        ("transcription", ("succeeded-1",), "COMPLETED"),
        ("transcription", ("failed-1",), "FAILED"),
        ("athena-query", ("stopped-1",), "CANCELLED"),
        ("transcription", ("stopped-1",), "FAILED"),
        ("transcription", ("stuck-1",), "IN_PROGRESS"),
        ("stepfunctions-execution", ("arn:aws:states:us-east-1:111122223333:execution:machine:stopped-1",), "ABORTED"),
        ("ecs-task", ("default", "arn:aws:ecs:us-east-1:111122223333:task/default/failed-1"), "STOPPED_WITH_ERROR"),
        ("speaker-search", ("vc", "settled-1"), "PARTIAL_SUCCESS"),
        ("speaker-search", ("vc", "partial-1"), "SUCCEEDED"),
    ],
)
def test_an_id_decides_how_its_task_ends(kind: str, params: tuple[str, ...], end: str) -> None:
    """The beginning of the last part of an id decides the end, in the words of the kind; without such a word, the next best one."""
    task = made(kind, *params)
    assert statuses(task)[-1] == end
    assert ("PARTIAL_SUCCESS" in statuses(task)) == (params[-1].startswith(("settled", "partial")))
    assert (task.ended_at is None) == (end in ("IN_PROGRESS", "PARTIAL_SUCCESS"))


def test_a_kind_without_a_success_ends_in_failure(  # the media pipelines declare none
) -> None:
    """A kind that declares no success has only tasks that fail."""
    kind: Kind = builtin_catalog()["media-voice-tone"]
    assert all(not kind.succeeded(statuses(made(kind.name, "p", "t", seed=seed, failed=0, stopped=0))[-1]) for seed in range(5))


def test_a_status_that_is_set_is_kept() -> None:
    """A set status ends the past of a task at that time, and follows it."""
    task = made("transcription", durations="queue=1,run=30")
    task.set_status("FAILED", T0 + 10)
    assert task.truth()[-1] == ("FAILED", T0 + 10)
    assert task.period(T0 + 10_000).status == "FAILED"
    assert task.ended_at == T0 + 10


def test_a_status_is_seen_at_the_moment_it_is_set() -> None:
    """A status is seen at the time at which it was set, also where that time is rounded up to a millisecond."""
    task = made("transcription", durations="queue=1,run=30")
    for n, now in enumerate((T0 + 10, T0 + 11 - 5e-7, T0 + 12 + 5e-7)):
        task.set_status(status := ("FAILED", "COMPLETED", "QUEUED")[n], now)
        assert task.period(now).status == status
        assert task.begun(now)[-1].status == status
