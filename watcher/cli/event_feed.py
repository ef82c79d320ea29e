"""The source of `watcher events`: the API of a running watcher, or a store. Yields batches, each with the cursor after it."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import anyio

from watcher.adapters.api_client import SentEvent, open_api
from watcher.cli.server_access import ServerAccess
from watcher.cli.tables import sentence
from watcher.errors import ApiError

PAGE_SIZE = 1000
"""Events of one page."""
MAX_WAIT_S = 30.0
"""The maximum wait before the next attempt to connect, in seconds."""
MAX_REQUESTED_S = 300.0
"""The maximum wait that a watcher can request, in seconds."""
TEMPORARY = ("unreachable", "busy", "failed")
"""Reasons for which a broken stream is opened again. All others need a change by the user."""


@dataclass(frozen=True, slots=True)
class EventRequest:
    """Which events to read. `after` is `start`, `now`, or a cursor; a filter that is None matches all."""

    after: str
    key: str | None
    kind: str | None
    terminal: bool | None
    limit: int | None

    @property
    def filters(self) -> Mapping[str, str | bool | None]:
        """The filters by the names of the API."""
        return {"task": self.key, "kind": self.kind, "terminal": self.terminal}

    def of_task(self, key: str | None) -> EventRequest:
        """The same for the task with this key only; for all tasks if it is None."""
        return replace(self, key=key)


async def pages(access: ServerAccess, wanted: EventRequest) -> AsyncGenerator[list[SentEvent], None]:
    """Yield the events that are stored now."""
    after, left = wanted.after, wanted.limit
    async with open_api(access.server.url, access.token()) as api:
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            page = await api.get("/v1/events", {**wanted.filters, "after": after, "limit": size})
            batch = access.read(page, _batch_of)
            after = str(batch[-1].cursor)
            yield batch
            if len(batch) == 1:
                return
            left = None if left is None else left - len(batch) + 1


def _batch_of(page: dict[str, Any]) -> list[SentEvent]:
    events = [SentEvent(None, json.dumps(event, separators=(",", ":"))) for event in page["events"]]
    return [*events, SentEvent(page["next"], None)]


async def stream(
    access: ServerAccess, wanted: EventRequest, *, uniform: Callable[[float, float], float] = random.uniform
) -> AsyncGenerator[list[SentEvent], None]:
    """Yield stored events, then new ones, without an end. A connection that ends is opened again after the last cursor.

    The first connection is attempted once, because its failure is most likely a wrong URL. Raises ApiError for what a retry cannot change.
    """
    cursor = None if wanted.after in ("start", "now") else wanted.after
    failures, connected = 0, False
    while True:
        error: ApiError | None = None
        try:
            async with aclosing(_connection(access, wanted, cursor)) as batches:
                async for batch in batches:
                    if failures:
                        sentence("Connected again.", err=True)
                    failures, connected = 0, True
                    cursor = next((each.cursor for each in reversed(batch) if each.cursor is not None), cursor)
                    yield batch
        except ApiError as failure:
            if failure.reason not in TEMPORARY or not connected:
                raise
            error = failure
        failures += 1
        wait_s = _wait_s(failures, error, uniform)
        what = "the watcher closed the stream" if error is None else str(error)
        sentence(f"Connection lost: {what}. Trying again in {wait_s:.1f} s.", err=True)
        await anyio.sleep(wait_s)


async def _connection(access: ServerAccess, wanted: EventRequest, cursor: str | None) -> AsyncGenerator[list[SentEvent], None]:
    """Yield the batches of one connection, until it ends."""
    filters = {**wanted.filters, "after": wanted.after}
    async with open_api(access.server.url, access.token()) as api, api.events(filters, cursor) as batches, aclosing(batches):
        async for batch in batches:
            yield batch


def _wait_s(failures: int, error: ApiError | None, uniform: Callable[[float, float], float]) -> float:
    """Seconds until the next attempt: what the watcher requested, else full jitter, growing up to `MAX_WAIT_S`."""
    if error is not None and error.retry_after is not None:
        return min(error.retry_after, MAX_REQUESTED_S)
    return uniform(0.0, min(MAX_WAIT_S, 2.0 ** min(failures - 1, 10)))
