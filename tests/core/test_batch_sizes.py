"""How many tasks a call may be about, while calls about more fail because of their size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from watcher.core.polling.batch_sizes import GOOD_CALLS, MOST_GOOD_CALLS, BatchSizes, LimitChange
from watcher.errors import BatchFailed, Denied, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import builtin_catalog

KIND = builtin_catalog()["batch-job"]
LATE = Unavailable.after_deadline()


def too_large() -> Unreadable:
    error = Unreadable("200", "more than 1 byte")
    error.oversized = True
    return error


LARGE = BatchFailed(too_large())


def called(sizes: BatchSizes, calls: int, fails: Callable[[int], RemoteError | None]) -> tuple[list[int], list[LimitChange]]:
    """Make full calls. Returns the number of tasks of each, and the changes of the limit."""
    tasks, changes = [], []
    for _ in range(calls):
        tasks.append(sizes.limit(KIND))
        change = sizes.learn(KIND, tasks[-1], fails(tasks[-1]))
        changes += [] if change is None else [change]
    return tasks, changes


def test_the_limit_is_halved_until_calls_succeed() -> None:
    """From the limit of the kind to one task at the least."""
    assert called(BatchSizes(), 4, lambda tasks: LARGE if tasks > 25 else None)[0] == [100, 50, 25, 25]
    sizes = BatchSizes()
    assert called(sizes, 9, lambda tasks: LATE)[0] == [100, 50, 25, 12, 6, 3, 1, 1, 1]
    assert sizes.limit(builtin_catalog()["ecs-task"]) == 100


@pytest.mark.parametrize("error", [Throttled("429"), Unavailable("503"), BatchFailed(Denied("no")), Unreadable("shape")])
def test_an_error_that_is_not_about_the_size_changes_nothing(error: RemoteError) -> None:
    """A smaller call would fail too."""
    assert called(BatchSizes(), 3, lambda tasks: error) == ([100] * 3, [])


def test_the_limit_grows_again_after_good_calls() -> None:
    """An outage ends: the limit doubles after each five full calls, up to that of the kind. Smaller calls do not count."""
    sizes = BatchSizes()
    called(sizes, 7, lambda tasks: LATE)
    assert [sizes.learn(KIND, 0, None) for _ in range(50)] == [None] * 50
    tasks, changes = called(sizes, 60, lambda tasks: None)
    assert sorted(set(tasks)) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert tasks.count(4) == GOOD_CALLS
    assert changes[0] == LimitChange(2, "raised")
    assert changes[-1] == LimitChange(100, "restored")


@pytest.mark.parametrize("most", [1, 10, 25, 99])
@pytest.mark.parametrize("error", [LATE, LARGE])
def test_a_lasting_limit_fails_few_calls(most: int, error: RemoteError) -> None:
    """Trials get smaller and rarer, and the limit is near the largest size that succeeds."""
    sizes = BatchSizes()
    tasks, _ = called(sizes, 200, lambda tasks: error if tasks > most else None)
    assert sum(each > most for each in tasks) <= 20
    tasks, _ = called(sizes, 10_000, lambda tasks: error if tasks > most else None)
    assert sum(each > most for each in tasks) <= 10_000 / MOST_GOOD_CALLS * 1.5
    assert sum(tasks) / len(tasks) >= most / 1.3


def test_a_failed_trial_returns_to_the_limit_before() -> None:
    """A trial that fails shows nothing new about smaller calls. A call that is no larger than before the trial does."""
    sizes = BatchSizes()
    called(sizes, 3 + GOOD_CALLS, lambda tasks: LARGE if tasks > 12 else None)
    called(sizes, 1 + 2 * GOOD_CALLS, lambda tasks: LARGE if tasks > 12 else None)
    limit = sizes.limit(KIND)
    assert limit > 12
    assert sizes.learn(KIND, 12, LATE) == LimitChange(6, "lowered")
    called(sizes, GOOD_CALLS, lambda tasks: None)
    assert sizes.limit(KIND) == 12
    assert sizes.learn(KIND, 8, LATE) == LimitChange(6, "returned")


def test_calls_that_were_in_flight_together_lower_the_limit_once() -> None:
    """Ten calls of the same size time out: the nine others say what the first one said."""
    sizes = BatchSizes()
    assert [sizes.learn(KIND, 100, LATE) for _ in range(10)] == [LimitChange(50, "lowered")] + [None] * 9


def test_one_task_with_a_large_reply_restores_the_limit() -> None:
    """The calls failed because of this task, whatever their size was. A timeout of one task does not show that."""
    sizes = BatchSizes()
    called(sizes, 7, lambda tasks: LARGE)
    assert sizes.limit(KIND) == 1
    assert sizes.learn(KIND, 1, LATE) is None
    assert sizes.learn(KIND, 1, too_large()) == LimitChange(100, "restored")
    called(sizes, 2, lambda tasks: LARGE)
    assert sizes.learn(KIND, 1, too_large()) is None


@pytest.mark.parametrize("seed", range(20))
def test_the_limit_is_always_one_that_the_kind_allows(seed: int) -> None:
    """Whatever fails: at least one task, at most those of the kind, and a change for each other limit."""
    rng, sizes = Random(seed), BatchSizes()
    kind = replace(KIND, batch=replace(KIND.batch, size=rng.randint(2, 100)))  # type: ignore[type-var]
    shown = kind.batch_size
    for _ in range(3000):
        tasks = rng.choice([sizes.limit(kind), rng.randint(1, kind.batch_size)])
        error = rng.choice([None, None, None, None, LATE, LARGE if tasks > 1 else too_large(), Throttled("429")])
        change = sizes.learn(kind, tasks, error)
        shown = shown if change is None else change.limit
        assert 1 <= shown == sizes.limit(kind) <= kind.batch_size
