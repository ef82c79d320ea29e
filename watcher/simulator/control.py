"""The requests by which a user sets and reads the status of simulated tasks. AWS has no such path, and they need no signature.

PUT /_simulator/tasks/speaker-search/VoiceConnectorId/TaskId   {"status": "FAILED"}
PUT /_simulator/tasks/speaker-search/VoiceConnectorId/TaskId   {"status": "A_NEW_ONE", "undeclared": true}
GET /_simulator/tasks/speaker-search/VoiceConnectorId/TaskId

`declared/control.py` has those for tasks of other kinds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from watcher.simulator.simulated_kinds import MAX_CONNECTOR, MAX_TASK_ID, SIMULATED_KINDS, STATUSES, SimulatedKind
from watcher.simulator.simulated_task import SimulatedTask, iso
from watcher.simulator.task_table import TaskTable
from watcher.simulator.wire import HttpReply, HttpRequest, segments

PREFIX = "_simulator"
MAX_STATUS = 64
"""The longest status that can be set, in characters."""
MEMBERS = {"status", "undeclared"}
"""Of the body of a PUT request."""
PATH_HINT = (
    f"use /{PREFIX}/tasks/KIND/ID with all identifiers of the kind, such as /{PREFIX}/tasks/batch-job/my-job or "
    f"/{PREFIX}/tasks/speaker-search/VoiceConnectorId/TaskId; `watcher kinds list` shows the kinds"
)
STATUS_HINT = f"""the API declares no such status, only {", ".join(STATUSES)}; to set another one, add "undeclared": true"""
BODY_HINT = """send a JSON object such as {"status": "SUCCEEDED"}"""


def is_control(request: HttpRequest) -> bool:
    """Whether a request is for this module."""
    return request.path.split("/")[1:2] == [PREFIX]


def names_voice_kind(request: HttpRequest) -> bool:
    """Whether the path of such a request names a kind of the voice service. Raises BadRequest for a path that cannot be decoded."""
    return any(name in SIMULATED_KINDS for name in segments(request.path)[2:3])


def answer(request: HttpRequest, tasks: TaskTable, now: float) -> HttpReply:
    """Do what the request says, at `now` in wall seconds. Raises BadRequest for a path that cannot be decoded."""
    parts = segments(request.path)
    kind = SIMULATED_KINDS.get(parts[2]) if len(parts) == 5 and parts[1] == "tasks" else None
    if kind is None or not _valid(parts[3], MAX_CONNECTOR) or not _valid(parts[4], MAX_TASK_ID):
        return json_reply(404, {"message": PATH_HINT})
    if request.method == "PUT":
        return _set_status(request, tasks, kind, (parts[3], parts[4]), now)
    if request.method != "GET":
        return json_reply(405, {"message": "use GET or PUT"}, {"Allow": "GET, PUT"})
    task = tasks.peek(kind, parts[3], parts[4])
    return json_reply(404, {"message": "there is no such task yet"}) if task is None else json_reply(200, _shown(task, now))


def _set_status(request: HttpRequest, tasks: TaskTable, kind: SimulatedKind, ids: tuple[str, str], now: float) -> HttpReply:
    body = read_body(request)
    if body is None:
        return json_reply(400, {"message": BODY_HINT})
    if body.status not in STATUSES and not body.undeclared:
        return json_reply(400, {"message": STATUS_HINT})
    task = tasks.ensure(kind, *ids, now)
    task.set_status(body.status, now)
    tasks.keep(task)
    return json_reply(200, _shown(task, now))


@dataclass(frozen=True, slots=True)
class StatusBody:
    """The body of a PUT request."""

    status: str
    undeclared: bool
    """Whether the status may be one that the API does not declare."""


def read_body(request: HttpRequest) -> StatusBody | None:
    """Return the body of a PUT request; None: it is not in the form of `BODY_HINT`."""
    try:
        body = json.loads(request.body)
        status, undeclared = body["status"], body.get("undeclared", False)
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    if not isinstance(status, str) or not _valid(status, MAX_STATUS) or not isinstance(undeclared, bool) or body.keys() - MEMBERS:
        return None
    return StatusBody(status, undeclared)


def _valid(text: str, longest: int) -> bool:
    return bool(text.strip()) and len(text) <= longest


def _shown(task: SimulatedTask, now: float) -> dict[str, Any]:
    history = [{"status": period.status, "at": iso(period.at)} for period in task.begun(now)]
    return {
        "kind": task.kind.name,
        "voice_connector_id": task.connector,
        "task_id": task.task_id,
        "status": task.period(now).status,
        "history": history,
        "calls": task.calls,
    }


def json_reply(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> HttpReply:
    """Return a reply to a request of a user."""
    return HttpReply(status, json.dumps(body).encode() + b"\n", {"Content-Type": "application/json", **(headers or {})})
