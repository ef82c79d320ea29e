from __future__ import annotations

import uuid
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from watcher.cli.task_lines import TaskNames, event_line, short_task, shorten
from watcher.model import EventType

STATUSES = ("IN_QUEUE", "IN_PROGRESS", "PARTIAL_SUCCESS", "SUCCEEDED", "FAILED", "STOPPED")


def event(key: str, before: str | None, after: str | None, lag: float | None, type_: EventType = EventType.TRANSITION) -> dict[str, Any]:
    data = {"from": before, "to": after, "detection_lag_s": lag, "reason": "not_found", "task": {"kind": key.partition("/")[0]}}
    return {"type": type_, "subject": key, "data": data}


@pytest.mark.parametrize("connector", ["q" * 22, "c", "0b4c9a1e-0000-4222-8333-944445555667", "x" * 128])
@pytest.mark.parametrize("task", ["7", str(uuid.UUID(int=99, version=4)), "t" * 256])
def test_no_line_is_longer_than_the_screen(connector: str, task: str) -> None:
    """Whatever the ids, the statuses, the time and the lag, a line fits on a screen of 80 columns."""
    key = f"voice-tone/{connector}/{task}"
    for elapsed in (0.0, 59.94, 999.94, 86_000.0):
        for lag in (None, 0.04, 41.5, 999.9, 50_000.0):
            names = TaskNames(80)
            lines = [event_line(event(key, before, after, lag), elapsed, names) for before, after in pairwise(STATUSES)]
            lines += [event_line(event(key, None, status, lag), elapsed, names) for status in STATUSES]
            lines += [event_line(event(key, status, status, lag, EventType.UPDATED), elapsed, names) for status in STATUSES]
            lines.append(event_line(event(key, "IN_QUEUE", None, None, EventType.ENDED), elapsed, names))
            assert [line.plain for line in lines if line.cell_len > 80] == []


def test_both_ends_of_an_id_stay() -> None:
    """An id is shortened in its middle, and the task id keeps more than the voice connector."""
    assert shorten("0123456789", 7) == "012…789"
    assert shorten("0123456789", 10) == "0123456789"
    short = short_task("qwertzuiopasdfghjkl12/4af03b6c-9d1e-4a55-8c1b-77e0d2f1a3b9", 26)
    assert len(short) == 26
    connector, _, task = short.partition("/")
    assert connector.startswith("qwer")
    assert connector.endswith("l12")
    assert task.startswith("4af03b6")
    assert task.endswith("d2f1a3b9"[-7:])


def test_a_short_id_is_whole() -> None:
    """Ids are shortened only where they do not fit: a short connector leaves its room to the task."""
    assert short_task("vc1/call-4711", 26) == "vc1/call-4711"
    assert short_task(f"vc1/{'9' * 22}", 26) == f"vc1/{'9' * 22}"


def test_tasks_have_different_names() -> None:
    """Tasks whose ids differ only in their middle have different names, and each keeps its name."""
    names = TaskNames(80)
    keys = [f"speaker-search/{'v' * 22}/call-2026-11-26-{n:05d}-of-the-day" for n in range(12)]
    first = [names.name(key) for key in keys]
    assert len(set(first)) == len(keys)
    assert max(map(len, first)) <= names.width
    assert [names.name(key) for key in keys] == first


def test_a_line_names_the_kind() -> None:
    """The first line of a task names its kind; with tasks of several kinds, all lines do."""
    first = event_line(event("voice-tone/a/b", None, "IN_QUEUE", 0.5), 1, TaskNames(80)).plain
    assert "new voice-tone → IN_QUEUE" in first
    later = event_line(event("voice-tone/a/b", "IN_QUEUE", "FAILED", 0.5), 1, TaskNames(80, kinds=True)).plain
    assert "voice-tone/a/b" in later


def test_a_status_cannot_control_the_terminal() -> None:
    """A status with control characters is shown escaped: it is a free text of the service."""
    rng = Random(5)
    status = "".join(chr(rng.choice([27, 7, 8, 155, 13])) for _ in range(5)) + "[2J"
    line = event_line(event("voice-tone/a/b", "IN_QUEUE", status, None), 1, TaskNames(200)).plain
    assert line.isprintable()
