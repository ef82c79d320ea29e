"""The events of all tasks after a cursor: as a stream, in pages, and with long polling."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import anyio
import structlog
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from watcher.api import examples
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.cursors import Cursors
from watcher.api.event_stream import EventStream
from watcher.api.holding import HeldConnection, hold
from watcher.api.parameters import check_texts
from watcher.api.problems import responses, unavailable
from watcher.api.replies import NO_STORE, json_reply
from watcher.errors import StoreError
from watcher.queries.event_pages import EventFilter, EventPage, Positions, read_event_page
from watcher.runtime.event_tail import EventTail, ReaderTooSlowError

log = structlog.get_logger("watcher.api")

STREAM = "text/event-stream"
MAX_WAIT_S = 60.0


class EventParams:
    """The parameters of a request for events."""

    def __init__(
        self,
        after: Annotated[
            str, Query(max_length=20_000, description="`start`, `now`, or a cursor: the `id` of a block in a stream, or `next` of a page.")
        ] = "start",
        task: Annotated[str | None, Query(max_length=2000, description="The key of a task.")] = None,
        kind: Annotated[str | None, Query(max_length=200, description="A kind of task.")] = None,
        terminal: Annotated[bool | None, Query(description="`true`: only the last event of each task.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Events in a page. No effect on a stream.")] = 100,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait for an event. No effect on a stream.")] = 0,
        last_event_id: Annotated[
            str | None,
            Header(max_length=20_000, description="A cursor: the last `id` of a stream. Takes precedence over `after`."),
        ] = None,
    ) -> None:
        check_texts(after, task, kind, last_event_id)
        self.after = last_event_id or after
        self.wanted = EventFilter(task, kind, terminal)
        self.limit = limit
        self.wait_s = wait


def event_router(backend: Backend, access: Access, cursors: Cursors) -> APIRouter:
    """Return the route for events."""
    routes = APIRouter(prefix="/v1/events", tags=["events"])

    @routes.get(
        "",
        dependencies=[Depends(access.require("read"))],
        summary="Read and follow events",
        response_class=Response,
        responses=examples.EVENTS | responses(400, 401, 403, 410, 503),
    )
    async def events(request: Request, params: Annotated[EventParams, Depends()]) -> Response:
        """CloudEvents, at least once, in order for each task, with stable ids: first stored events after the cursor, then new events.

        With `Accept: text/event-stream`, the reply is a stream of server-sent events that does not end. The `id` of each block is
        the cursor after its event. A reader that reads too slowly is disconnected, and can continue from its cursor. Other requests
        get a page; with `wait`, the request waits for the next event.
        """
        positions = await cursors.positions(params.after)
        if STREAM in request.headers.get("accept", "") and request.method == "GET":
            return await _stream(backend, cursors, request, params, positions)
        if request.method == "HEAD":
            params.wait_s = 0
        if params.wait_s:
            hold(request, params.wait_s, follows=True)
        return await _page(backend, cursors, request, params, positions)

    return routes


async def _stream(backend: Backend, cursors: Cursors, request: Request, params: EventParams, positions: Positions) -> Response:
    _check_room(backend)
    connection = hold(request, None, follows=True)
    stream = EventStream(backend.tail.store, backend.tail, cursors, params.wanted)
    headers = {**NO_STORE, "X-Accel-Buffering": "no"}  # so that a proxy forwards each event immediately
    blocks = stream.follow(positions, cursors.first(params.after, positions))
    return _Stream(backend.tail, _frames(backend, blocks, connection), headers)


class _Stream(StreamingResponse):
    """Counts as a reader from the check of `api.max_readers` until it has ended, for whatever reason."""

    def __init__(self, tail: EventTail, frames: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(frames, 200, headers, STREAM)
        self._tail = tail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._tail.reader():
            await super().__call__(scope, receive, send)


async def _frames(backend: Backend, blocks: AsyncIterator[bytes], connection: HeldConnection | None) -> AsyncIterator[bytes]:
    """Yield the blocks. Ends when the reader must connect again."""
    try:
        backend.metrics.event_readers.inc()
        async for frames in blocks:
            yield frames
    except ReaderTooSlowError:
        _report_disconnect(backend)
    except StoreError as error:
        log.warning("api_store_error", reason=str(error))
    finally:
        backend.metrics.event_readers.dec()
        if connection is not None and connection.unread:
            _report_disconnect(backend)


def _report_disconnect(backend: Backend) -> None:
    backend.metrics.event_readers_disconnected.inc()
    log.info("event_reader_disconnected", hint="the reader is slower than events are committed; it can continue from its cursor")


async def _page(backend: Backend, cursors: Cursors, request: Request, params: EventParams, positions: Positions) -> Response:
    page = await read_event_page(backend.store, positions, params.wanted, params.limit)
    if params.wait_s and not page.events:
        _check_room(backend)
        with backend.tail.reader(), anyio.move_on_after(params.wait_s):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(_cancel_without_client, request, waiting.cancel_scope)
                page = await _wait_for_page(backend, params, page)
                waiting.cancel_scope.cancel()
    return json_reply(_as_json(cursors, page))


async def _cancel_without_client(request: Request, waiting: anyio.CancelScope) -> None:
    """Stop waiting when the client closes the connection, so that another reader gets its place."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    waiting.cancel()


async def _wait_for_page(backend: Backend, params: EventParams, page: EventPage) -> EventPage:
    """Return the next page that is not empty, or an empty one when the watcher shuts down."""
    while not page.events and not backend.tail.closed:
        number = await backend.tail.join()
        page = await read_event_page(backend.store, page.positions, params.wanted, params.limit)
        if not page.events:
            await _until_wanted(backend.tail, params.wanted, number)
    return page


async def _until_wanted(tail: EventTail, wanted: EventFilter, number: int) -> None:
    """Wait until there is an event from this number on that the filter matches, or until the tail no longer keeps that number."""
    while tail.keeps(number) and not tail.closed:
        new = tail.after(number, tail.end - number)
        if any(wanted.matches(each.event) for each in new):
            return
        number += len(new)
        await tail.wait(number)


def _as_json(cursors: Cursors, page: EventPage) -> dict[str, Any]:
    """Return the JSON of a page. After the last page, the cursor is as of now, so it stays valid for the whole retention."""
    cursor = cursors.now(page.positions) if page.last else cursors.after(page.events[-1], page.positions)
    return {"events": [json.loads(event.body) for event in page.events], "next": cursor}


def _check_room(backend: Backend) -> None:
    if backend.tail.readers >= backend.max_readers:
        raise unavailable(f"There are already {backend.max_readers} readers (api.max_readers).")
