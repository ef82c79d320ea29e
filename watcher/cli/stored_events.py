"""Reads events for `watcher events` from a store, without a running watcher. The cursors are those of the HTTP API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator

import anyio
import click

from watcher.adapters.api_client import SentEvent
from watcher.cli.event_feed import PAGE_SIZE, EventRequest
from watcher.ports import Queries
from watcher.queries.event_cursor import EventCursor, ForeignCursorError, decode_event_cursor, seen_until
from watcher.queries.event_pages import EventFilter, EventPage, Positions, read_event_page

POLL_S = 1.0
"""Seconds between two reads of a store that had no further event."""


async def stored_events(store: Queries, wanted: EventRequest, retention_s: float, *, follow: bool) -> AsyncGenerator[list[SentEvent], None]:
    """Yield stored events and, with `follow`, new events, without an end.

    Raises UsageError for a cursor that this store cannot continue.
    """
    identity = await store.identity()
    positions = await _positions(store, wanted.after, identity, retention_s)
    filters, left = EventFilter(wanted.key, wanted.kind, wanted.terminal), wanted.limit
    while left is None or left > 0:
        page = await read_event_page(store, positions, filters, PAGE_SIZE if left is None else min(PAGE_SIZE, left))
        positions = page.positions
        cursor = EventCursor(identity, _seen_until(page, retention_s), positions).encode()
        yield [*(SentEvent(None, event.body.decode()) for event in page.events), SentEvent(cursor, None)]
        left = None if left is None else left - len(page.events)
        if page.last:
            if not follow:
                return
            await anyio.sleep(POLL_S)


async def _positions(store: Queries, after: str, identity: str, retention_s: float) -> Positions:
    if after == "start":
        return {}
    if after == "now":
        return await store.positions()
    try:
        return decode_event_cursor(after, identity, time.time(), retention_s).positions
    except ForeignCursorError as error:
        raise click.UsageError(f"{error}; with --cursor-file, use a new file") from None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--after") from None


def _seen_until(page: EventPage, retention_s: float) -> float:
    return time.time() if page.last else seen_until(page.events[-1].at, time.time(), retention_s)
