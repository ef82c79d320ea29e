"""Tasks: submit, list, show, and cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from watcher.api import examples
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.holding import hold
from watcher.api.late_writes import LateWrites
from watcher.api.parameters import check_texts, is_storable
from watcher.api.problems import Problem, responses, unavailable
from watcher.api.replies import json_reply
from watcher.api.request_body import MAX_BODY, read_json_body
from watcher.core.intake import submissions
from watcher.core.trace_context import trace_context
from watcher.errors import InvalidInput
from watcher.model import Ignored, Submission
from watcher.queries.explain import explain_task
from watcher.queries.tasks import load_progress, task_summary
from watcher.query import TaskQuery

SOURCE = "api"
"""The name of this source of tasks in the metrics and in the cadence."""
WRITE_S = 10.0
"""The maximum time to wait for the store, in seconds. The runtime retries for longer, but a client should not wait for hours."""

TaskKey = Annotated[str, Path(description="The key of a task. Encode each `%` in it as `%25`. Do not encode `/`.")]
Entry = Submission | InvalidInput | Ignored


def task_router(backend: Backend, access: Access) -> APIRouter:
    """Return the routes for tasks."""
    routes = APIRouter(prefix="/v1/tasks", tags=["tasks"])
    _add_routes_of_several(routes, backend, access)
    _add_routes_of_one(routes, backend, access)
    return routes


def _add_routes_of_several(routes: APIRouter, backend: Backend, access: Access) -> None:
    read, write = [Depends(access.require("read"))], [Depends(access.require("write"))]
    writes = LateWrites()

    @routes.post(
        "",
        status_code=202,
        dependencies=write,
        summary="Submit tasks",
        response_class=Response,
        responses={202: examples.SUBMITTED, **responses(400, 401, 403, 413, 415, 422, 503)},
        openapi_extra=examples.SUBMISSION,
    )
    async def submit(request: Request) -> Response:
        """The body is any message that a queue may contain: one task, an array of tasks, or what AWS sends.

        The watcher replies after the new watches are in the store. The reply has an outcome for each task, in the same order. It is safe
        to send the same tasks again: a task that is already watched has the outcome `known`.
        """
        trace = trace_context(request.headers.get("traceparent"), request.headers.get("tracestate"))
        body = await read_json_body(request)
        hold(request, WRITE_S)
        return await _submit(backend, writes, body, trace)

    @routes.get(
        "", dependencies=read, summary="List tasks", response_class=Response, responses=examples.TASKS | responses(400, 401, 403, 503)
    )
    async def list_tasks(query: Annotated[TaskParams, Depends()]) -> Response:
        """Lists tasks without results and contexts, in pages. Send `next` of a page as `after` to get the next page."""
        return json_reply(await _list(backend, query))


def _add_routes_of_one(routes: APIRouter, backend: Backend, access: Access) -> None:
    read, write = [Depends(access.require("read"))], [Depends(access.require("write"))]

    @routes.get(
        "/{key:path}",
        dependencies=read,
        summary="Show a task",
        response_class=Response,
        responses=examples.TASK | responses(400, 401, 403, 404, 503),
    )
    async def show(key: TaskKey) -> Response:
        """Shows everything that the store has about a task: state, events, next poll and why, undelivered events, dead letters."""
        found = await explain_task(backend.store, backend.catalog, _storable(key), backend.polls, backend.wall())
        if found.task is None:
            raise _no_task()
        return json_reply(found.as_json())

    @routes.delete(
        "/{key:path}",
        dependencies=write,
        summary="Cancel the watch of a task",
        response_class=Response,
        responses=examples.CANCELLED | responses(400, 401, 403, 404, 503),
    )
    async def cancel(key: TaskKey) -> Response:
        """The watch ends within seconds. Its last event is `watcher.watch.ended.v1` with the reason `cancelled`."""
        watch = await backend.store.task(_storable(key))
        if watch is None:
            raise _no_task()
        if await backend.store.cancel([key]):
            return json_reply({"key": key, "outcome": "cancelling"}, 202)
        return json_reply({"key": key, "outcome": "ended"})


class TaskParams:
    """Which tasks to list."""

    def __init__(
        self,
        open: Annotated[bool | None, Query(description="`true`: tasks that are polled; `false`: those that have ended.")] = None,
        kind: Annotated[str | None, Query(max_length=200, description="A kind of task.")] = None,
        status: Annotated[str | None, Query(max_length=200, description="A status, as the service names it.")] = None,
        search: Annotated[str | None, Query(max_length=500, description="A part of the key.")] = None,
        after: Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Tasks in a page.")] = 100,
        order: Annotated[Literal["newest", "oldest"], Query(description="By time of admission.")] = "newest",
    ) -> None:
        check_texts(kind, status, search, after)
        self.query = TaskQuery(open, kind, status, search, after, limit, order == "oldest")


async def _list(backend: Backend, params: TaskParams) -> dict[str, Any]:
    try:
        page = await backend.store.tasks(params.query)
    except ValueError as error:
        raise Problem(400, f"A parameter is invalid: after: {error}.") from None
    progress = await load_progress(backend.store, backend.catalog, page.items)
    return {"tasks": [task_summary(watch, backend.catalog, progress).as_json() for watch in page.items], "next": page.next}


async def _submit(backend: Backend, writes: LateWrites, body: bytes, trace: str | None) -> Response:
    """`trace` is the trace context of the request, for tasks without one of their own."""
    found = submissions.read(body, backend.catalog, now=backend.wall(), scopes=backend.scopes, max_body=MAX_BODY)
    entries = [submissions.with_trace(entry, trace) if isinstance(entry, Submission) else entry for entry in found]
    if not any(isinstance(entry, Submission) for entry in entries):
        outcomes = [_without_watch(entry) for entry in entries if not isinstance(entry, Submission)]
        _count(backend, outcomes)
        raise Problem(422, _why_none(entries), tasks=outcomes)
    if backend.gate.paused_by:
        raise unavailable(f"Intake is paused ({', '.join(sorted(backend.gate.paused_by))}); see /readyz and the log for what to do.")
    outcomes = await writes.run(lambda: _outcomes(backend, entries), WRITE_S)
    return json_reply({"tasks": outcomes}, 202)


async def _outcomes(backend: Backend, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    new = [entry for entry in entries if isinstance(entry, Submission) and not entry.poll_now]
    notified = [entry.ref.key for entry in entries if isinstance(entry, Submission) and entry.poll_now]
    await backend.loaded.wait()
    admitted = iter(await backend.admission.submit(new, SOURCE))
    polled = await backend.admission.notify(notified) if notified else ()
    outcomes = []
    for entry in entries:
        if not isinstance(entry, Submission):
            outcomes.append(_without_watch(entry))
        elif entry.poll_now:
            outcomes.append({"outcome": "known" if entry.ref.key in polled else "ignored", "key": entry.ref.key})
        else:
            outcomes.append({"outcome": next(admitted).outcome, "key": entry.ref.key})
    _count(backend, outcomes)
    return outcomes


def _count(backend: Backend, outcomes: Sequence[Mapping[str, Any]]) -> None:
    for outcome in outcomes:
        label = f"rejected_{outcome['reason']}" if outcome["outcome"] == "invalid" else outcome["outcome"]
        backend.metrics.inputs.labels(SOURCE, label).inc()


def _without_watch(entry: InvalidInput | Ignored) -> dict[str, Any]:
    if isinstance(entry, InvalidInput):
        return {"outcome": "invalid", "reason": entry.reason, "detail": entry.detail}
    return {"outcome": "ignored", "detail": entry.name}


def _why_none(entries: Sequence[Entry]) -> str:
    invalid = [entry for entry in entries if isinstance(entry, InvalidInput)]
    return f"The body names no task: {invalid[0].detail}." if invalid else "The body names no task to watch."


def _storable(key: str) -> str:
    """Return the key. Raises Problem (404) for a key that no store can contain."""
    if not is_storable(key):
        raise _no_task()
    return key


def _no_task() -> Problem:
    return Problem(404, "This task is not in the store: it was not submitted, it was erased, or it ended longer ago than watch.retention.")
