"""Messages that are made to cost much: the work for one is bounded by its size. The calls of functions are counted, not the time."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, ItemsView, Iterator
from typing import Any

import pytest

from watcher.core.intake import strict_json, submissions
from watcher.core.intake.masked_tokens import masked
from watcher.core.intake.recognition import read_task, tasks_in
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog

CATALOG = builtin_catalog()
NOW = 1_790_000_000.0


def calls(run: Callable[[], object]) -> Counter[Any]:
    """The calls of Python functions, by their code."""
    counted: Counter[Any] = Counter()

    def count(frame: Any, event: str, _: object) -> None:
        if event == "call":
            counted[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(before)
    return counted


def read(message: Any) -> list[Any]:
    return list(submissions.read(json.dumps(message).encode(), CATALOG, now=NOW))


def state(inner: Any) -> Any:
    """The result of a state that names a task itself, around another input."""
    return {"taskArn": "a", "jobId": "b", "input": inner}


def notification(inner: Any) -> Any:
    """A notification about an execution, whose input is another message."""
    detail = {"executionArn": "x", "input": inner}
    return {"detail-type": "Step Functions Execution Status Change", "source": "aws.states", "detail": detail}


@pytest.mark.parametrize("envelope", [state, notification])
@pytest.mark.parametrize("look", [read, lambda message: submissions.steering_members(json.dumps(message).encode(), CATALOG)])
def test_inputs_inside_each_other_are_not_unwrapped_again_and_again(envelope: Any, look: Any) -> None:
    """Each of five envelopes adds work, and none doubles it."""
    message: Any = [{}] * 200
    work = []
    for _ in range(5):
        message = envelope(message)
        work.append(calls(lambda message=message: look(message)).total())
    assert max(work) < 4 * work[0]


def test_an_input_inside_the_result_of_a_state_still_comes_first() -> None:
    """However many of such results are around it."""
    task = {"kind": "batch-job", "job_id": "j1"}
    for depth in (1, 2, 3):
        message: Any = task
        for _ in range(depth):
            message = state(message)
        assert [each.ref.key for each in read(message)] == ["batch-job/j1"]


def test_a_message_with_too_many_tasks_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply with many tasks is one element of the message, so the limit must also hold inside of it."""
    monkeypatch.setattr(submissions, "MAX_BATCH", 5)
    message = {"QueryExecutions": [{"QueryExecutionId": f"q{n}"} for n in range(50)]}
    counted = calls(lambda: read(message))
    assert counted[read_task.__code__] == 6
    assert [each.reason for each in read(message)] == ["size"]


class Counted(dict[str, Any]):
    """An object of a message that counts how often all of its members were read."""

    reads = 0

    def __iter__(self) -> Iterator[str]:
        self.reads += 1
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:
        self.reads += 1
        return super().items()


def test_the_members_beside_a_reply_are_not_copied_for_each_of_its_tasks() -> None:
    """With thousands of both, that would take half a minute."""
    message = Counted(QueryExecutions=[{"QueryExecutionId": f"q{n}"} for n in range(50)], other=1)
    tasks = tasks_in(message, CATALOG)
    before = message.reads
    assert [read_task(message, pasted, CATALOG).values[-1] for pasted in tasks] == [f"q{n}" for n in range(50)]
    assert message.reads == before


def test_the_context_of_a_reply_with_many_tasks_is_read_once() -> None:
    """Each task gets it; if it is too large, each task is invalid."""
    ids = [f"q{n}" for n in range(20)]
    for context, expected in (("x", '"x"'), ("x" * 5000, "size")):
        message = {"QueryExecutions": [{"QueryExecutionId": id_} for id_ in ids], "context": context}
        found = read(message)
        assert [each.reason if isinstance(each, InvalidInput) else each.context for each in found] == [expected] * 20
        assert calls(lambda message=message: read(message))[strict_json.canonical.__code__] == 1


def test_hiding_tokens_looks_at_each_backslash_a_few_times_only() -> None:
    """A row of them with a quadratic search would take minutes, so this test would not end."""
    body = b"\\" * (1 << 20) + b'"task_token"' + b"\\" * (1 << 20)
    assert masked(body) == body
