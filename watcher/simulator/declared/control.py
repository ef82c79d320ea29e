"""The requests by which a user sets and reads the status of tasks of declared kinds: `/_simulator/tasks/KIND/ID`.

The path has all params of the kind. An id that is an ARN is percent-encoded, so that its slashes are part of it.
"""

from __future__ import annotations

from typing import Any

from watcher.kinds.kind import Kind
from watcher.simulator.control import BODY_HINT, PREFIX, json_reply, read_body
from watcher.simulator.declared.life import DeclaredTask
from watcher.simulator.declared.service import DeclaredService
from watcher.simulator.simulated_task import iso
from watcher.simulator.wire import HttpReply, HttpRequest, segments


def answer(request: HttpRequest, service: DeclaredService, now: float) -> HttpReply | None:
    """Do what the request says, at `now` in wall seconds; None: the path names no kind that is declared.

    Raises BadRequest for a path that cannot be decoded.
    """
    parts = segments(request.path)
    kind = service.kinds.by_name.get(parts[2]) if len(parts) > 2 and parts[1] == "tasks" else None
    if kind is None:
        return None
    params = tuple(parts[3:])
    if len(params) != len(kind.params) or not all(param.pattern.fullmatch(text) for param, text in zip(kind.params, params, strict=True)):
        path = "/".join(param.name for param in kind.params)
        return json_reply(404, {"message": f"use /{PREFIX}/tasks/{kind.name}/{path}, with valid ids; percent-encode slashes in them"})
    if request.method == "PUT":
        return _set_status(request, service, kind, params, now)
    if request.method != "GET":
        return json_reply(405, {"message": "use GET or PUT"}, {"Allow": "GET, PUT"})
    task = service.tasks.peek(kind, params)
    return json_reply(404, {"message": "there is no such task yet"}) if task is None else json_reply(200, _shown(task, now))


def _set_status(request: HttpRequest, service: DeclaredService, kind: Kind, params: tuple[str, ...], now: float) -> HttpReply:
    body = read_body(request)
    if body is None:
        return json_reply(400, {"message": BODY_HINT})
    if body.status not in kind.statuses and not body.undeclared:
        known = ", ".join(kind.statuses)
        return json_reply(400, {"message": f'{kind.name} declares only {known}; to set another status, add "undeclared": true'})
    if not service.kinds.routes_of(kind.name)[0].contents.can_show(body.status):
        return json_reply(400, {"message": f"no reply has this status by {kind.reply.status.text}"})
    task = service.tasks.ensure(kind, params, now)
    task.set_status(body.status, now)
    return json_reply(200, _shown(task, now))


def _shown(task: DeclaredTask, now: float) -> dict[str, Any]:
    history = [{"status": period.status, "at": iso(period.at)} for period in task.begun(now)]
    ids = {param.field: value for param, value in zip(task.kind.params, task.params, strict=True)}
    return {"kind": task.kind.name, **ids, "status": task.period(now).status, "history": history, "calls": task.calls}
