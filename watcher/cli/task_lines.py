"""One line for each event of a task, for `watcher watch`, `watcher demo`, and `watcher events`: within the width of a terminal, or with
the whole key of the task."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from watcher.cli.tables import printable
from watcher.model import EventType

STYLES = {"SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow", "PARTIAL_SUCCESS": "cyan"}

TIME_WIDTH, CHANGE_WIDTH, LAG_WIDTH, GAP = 8, 29, 11, 2
"""Characters of the columns of a line, except for the task, and between two columns. The longest usual change is
`IN_PROGRESS → PARTIAL_SUCCESS`."""
DATE_WIDTH = 14
"""Characters of a time with its day."""
MIN_NAME_WIDTH = 12


class TaskNames:
    """The short name of each task: the same in all of its lines, and different from those of the others.

    `width` is of the screen, in characters, `time_width` of the times. A name has the kind of the task only with `kinds`.
    """

    def __init__(self, width: int, *, kinds: bool = False, time_width: int = TIME_WIDTH) -> None:
        self.width = max(MIN_NAME_WIDTH, width - time_width - CHANGE_WIDTH - LAG_WIDTH - 3 * GAP)
        self._kinds = kinds
        self._names: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def name(self, key: str) -> str:
        """Return the name of the task with this key."""
        if key not in self._names:
            full, number = key if self._kinds else key.partition("/")[2], 1
            name = short_task(full, self.width)
            while self._keys.setdefault(name, key) != key:
                number += 1
                mark = f"#{number}"
                name = short_task(full, self.width - len(mark)) + mark
            self._names[key] = name
        return self._names[key]


def shorten(text: str, width: int) -> str:
    """Return the text in at most `width` characters, without its middle if it is longer."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def short_task(task: str, width: int) -> str:
    """Return `VoiceConnectorId/TaskId` in at most `width` characters. Each id is shortened in its middle, the task id less."""
    if len(task) <= width:
        return task
    connector, slash, id_ = task.rpartition("/")
    room = width - len(slash)
    id_ = shorten(id_, max(room * 3 // 5, room - len(connector)))
    return f"{shorten(connector, room - len(id_))}{slash}{id_}"


def observed_line(body: dict[str, Any], names: TaskNames | None) -> Text:
    """Return an event as one line that begins with the time of its observation, in UTC. Without names, it has the key of the task."""
    at = printable(body["data"]["observed_at"])
    text = Text(f"{at[5:10]} {at[11:19]}{' ' * GAP}", style="dim")
    return _append_change(text.append(_name(body["subject"], names), style="default not dim"), body)


def event_line(body: dict[str, Any], elapsed_s: float, names: TaskNames | None) -> Text:
    """Return an event as one line: the time since the start, the task, the change, and how late it was detected.

    Without names, it has the key of the task.
    """
    return _append_change(task_line(body["subject"], elapsed_s, names), body)


def _append_change(text: Text, body: dict[str, Any]) -> Text:
    """Add the change, and how late it was detected."""
    data = body["data"]
    change = _change(body["type"], data)
    text.append(change)
    lag = data["detection_lag_s"]
    if lag is not None and data["from"] is not None and body["type"] != EventType.ENDED:
        text.append(" " * (max(0, CHANGE_WIDTH - change.cell_len) + GAP))
        text.append(f"lag {_seconds(lag)}", style="dim")
    return text


def task_line(key: str, elapsed_s: float, names: TaskNames | None) -> Text:
    """Return the beginning of a line about a task: the time since the start, and its name, or its key without names."""
    text = Text(f"{_seconds(elapsed_s):>{TIME_WIDTH}}{' ' * GAP}", style="dim")
    return text.append(_name(key, names), style="default not dim")


def _name(key: str, names: TaskNames | None) -> str:
    """The name of a task as a column, or its whole key, and the gap after it."""
    return f"{key}{' ' * GAP}" if names is None else names.name(key).ljust(names.width + GAP)


def _change(type_: str, data: dict[str, Any]) -> Text:
    status = printable(str(data["to"]))
    style = STYLES.get(status, "default not dim")
    if type_ == EventType.ENDED:
        return Text(f"watch ended: {data['reason']}", style="bold yellow not dim")
    if type_ == EventType.UPDATED:
        return Text(f"{status}, new result", style=f"{style} not dim")
    before = f"new {data['task']['kind']}" if data["from"] is None else printable(data["from"])
    return Text(f"{before} → ", style="dim").append(status, style=f"bold {style} not dim")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 1000 else f"{seconds / 60:.0f} min"
