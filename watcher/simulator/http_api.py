"""HTTP requests and replies in the format of the Chime SDK Voice API, for both kinds of tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from watcher.simulator.faults import ServiceError
from watcher.simulator.service import ApiReply, ApiRequest
from watcher.simulator.simulated_kinds import KINDS_BY_PATH
from watcher.simulator.wire import BadRequest, HttpReply, HttpRequest, segments
from watcher.simulator.wire_faults import BODY_FAULTS, faulty_body


def parse_request(request: HttpRequest) -> ApiRequest | None:
    """Return the API request; None: this operation does not exist. Raises BadRequest for a body that is not a JSON object."""
    parts, query = segments(request.path), parse_qs(request.query, keep_blank_values=True)
    if len(parts) not in (3, 4) or parts[0] != "voice-connectors" or parts[2] not in KINDS_BY_PATH:
        return None
    kind, connector = KINDS_BY_PATH[parts[2]], parts[1]
    if len(parts) == 3:
        return ApiRequest("Start", kind, connector, body=_json_object(request.body)) if request.method == "POST" else None
    if request.method == "GET":
        complete = not kind.get_needs_is_caller or query.get("isCaller", [""])[0] in ("true", "false")
        return ApiRequest("Get", kind, connector if complete else "", parts[3])  # as invalid as a request without an id
    return ApiRequest("Stop", kind, connector, parts[3]) if request.method == "POST" and query.get("operation") == ["stop"] else None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest(400) from None
    if not isinstance(value, dict):
        raise BadRequest(400)
    return value


def format_reply(request: ApiRequest, reply: ApiReply, number: int) -> HttpReply:
    """Return the reply as the API sends it, with the other body of a body fault. `number` counts the replies with this outcome."""
    if reply.error is not None:
        return format_error(reply.error)
    if request.action == "Stop" or reply.task is None:
        body, response = {}, HttpReply(204)
    else:
        body = {request.kind.task_member: reply.task.reply(reply.as_of)}
        status = 201 if request.action == "Start" else 200
        response = HttpReply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
    if reply.fault not in BODY_FAULTS:
        return response
    members = {"TASK": request.kind.task_member, "ID": request.kind.id_member, "STATUS": request.kind.status_member}
    return replace(response, status=200, body=faulty_body(reply.fault, body, members, number))


def format_error(error: ServiceError) -> HttpReply:
    """Return an error as the API sends it: the exception's name in a header, a short code and a sentence in the body."""
    if not error.code:
        return HttpReply(error.status, b"<html><body><h1>Bad Gateway</h1></body></html>", {"Content-Type": "text/html"})
    body = {"Code": error.code.removesuffix("Exception").removesuffix("Client"), "Message": error.meaning}
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.code}
    return HttpReply(error.status, json.dumps(body).encode(), headers)
