"""HTTP requests and replies of the services of declared kinds: recognizes the call, and writes the reply in the protocol of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread

from watcher.simulator.declared import control
from watcher.simulator.declared.catalog import Route
from watcher.simulator.declared.errors import error_of
from watcher.simulator.declared.models import ApiModel
from watcher.simulator.declared.protocols.replies import is_json, write_error, write_reply
from watcher.simulator.declared.protocols.requests import InvalidRequest, calls, read_params
from watcher.simulator.declared.service import Call, DeclaredService, Missing, Reply
from watcher.simulator.faults import ServiceError
from watcher.simulator.wire import HttpReply, HttpRequest
from watcher.simulator.wire_faults import BODY_FAULTS, GARBAGE

HTML = b"<html><head><title>Please sign in</title></head><body>Welcome to the airport's network.</body></html>"
XML_GARBAGE = (b"", b"SUCCEEDED", b"<a><b></a>", b"\xff\xfe\x00\x01", b"<a/>", b"<Response><item>5</item></Response>")
JSON_GARBAGE = tuple(text for text in GARBAGE if b"TASK" not in text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send, and how the log names it."""

    response: HttpReply
    outcome: str
    fault: str | None
    statuses: Sequence[str] = ()
    """Of the tasks in the reply."""


class DeclaredApi:
    """The HTTP side of a `DeclaredService`. Its methods raise ValueError for a kind that does not fit its API model."""

    def __init__(self, service: DeclaredService) -> None:
        self.service = service
        self._prepared = False
        self._preparing = anyio.Lock()

    async def prepare(self) -> None:
        """Load the kinds and their API models, in a worker thread: that takes about a second at the first call."""
        async with self._preparing:
            if not self._prepared:
                await anyio.to_thread.run_sync(self.accepts, "")
                self._prepared = True

    def accepts(self, signing_name: str) -> bool:
        """Whether a kind belongs to a service whose requests are signed with this name."""
        return bool(self.service.kinds.signed_as(signing_name))

    def control(self, request: HttpRequest, now: float) -> HttpReply | None:
        """Return the reply to a request by which a user sets or reads a status; None: it is about no kind that is declared."""
        return control.answer(request, self.service, now)

    def find_call(self, request: HttpRequest, signing_name: str) -> Call | None:
        """Return the call that a request makes; None: no kind is read by this operation."""
        routes = [route for route in self.service.kinds.signed_as(signing_name) if calls(request, route.operation)]
        if not routes:
            return None
        try:
            params = read_params(request, routes[0].operation)
        except InvalidRequest as error:
            return Call(routes[0], (), str(error))
        fitting = [route for route in routes if not _absent(route, params)]
        if not fitting:
            return Call(routes[0], (), f"the parameter {_absent(routes[0], params)[0]} is required")
        route = next((route for route in fitting if all(params.get(name) == value for name, value in route.kind.extra.items())), fitting[0])
        return Call(route, tuple(_ids(route, params)))

    @asynccontextmanager
    async def handle(self, call: Call) -> AsyncIterator[Answer]:
        """Yield what to reply to a call, after its latency. The request is in flight until the block ends."""
        async with self.service.handle(call) as reply:
            statuses = [task.period(reply.as_of).status for task in reply.found]
            number = self.service.voice.stats.outcomes[reply.outcome]
            yield Answer(_response(call, reply, number), reply.outcome, reply.fault, statuses)

    def refusal(self, signing_name: str, error: ServiceError) -> HttpReply:
        """Return an error as the service that is signed with this name sends it."""
        api = self.service.kinds.signed_as(signing_name)[0].operation.api
        own = error_of(api, error)
        return write_error(api, own.code, own.status, own.meaning)


def _absent(route: Route, params: Mapping[str, Any]) -> Sequence[str]:
    """Return the identifiers of tasks of this kind that a request does not have."""
    names = [param.name for param in route.kind.params[:-1]] + [route.param]
    return [name for name in names if name not in params]


def _ids(route: Route, params: Mapping[str, Any]) -> Sequence[tuple[str, ...]]:
    *common, _ = route.kind.params
    first = tuple(_one(params[param.name]) for param in common)
    own = params[route.param]
    return [(*first, id_) for id_ in (own if isinstance(own, list) else [own])]


def _one(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def _response(call: Call, reply: Reply, number: int) -> HttpReply:
    """Return the reply as the service sends it, with the other body of a body fault. `number` counts the replies with this outcome."""
    api = call.route.operation.api
    if reply.error is not None:
        return write_error(api, reply.error.code, reply.error.status, reply.error.meaning)
    tasks = reply.found
    if reply.fault == "wrong-id":
        # a list may have further tasks, so one without an id is what makes it unreadable
        wrong = "" if call.route.batched else "another-task"
        tasks = [replace(task, params=(*task.params[:-1], wrong)) for task in tasks]
    failures = [(item.id, item.code) for item in reply.tasks if isinstance(item, Missing)]
    response = write_reply(call.route.operation, call.route.contents.reply(tasks, failures, reply.as_of))
    if reply.fault not in BODY_FAULTS or reply.fault == "wrong-id":
        return response
    return replace(response, status=200, body=_faulty(api, reply.fault or "", response.body, number))


def _faulty(api: ApiModel, fault: str, body: bytes, number: int) -> bytes:
    if fault == "garbage":
        garbage = JSON_GARBAGE if is_json(api) else XML_GARBAGE
        return garbage[number % len(garbage)]
    return {"empty": b"", "html": HTML, "truncated": body[: len(body) * 2 // 3]}[fault]
