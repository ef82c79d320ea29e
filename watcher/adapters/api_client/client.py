"""Sends requests to the HTTP API of a running watcher, one attempt each. Raises ApiError. It does not follow redirects, so that no
other host gets the token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import anyio
from anyio import to_thread

from watcher.adapters.api_client.replies import connection_error, error_of, json_of, place_of, problem_of
from watcher.adapters.api_client.server_sent_events import EventStreamReader, SentEvent
from watcher.adapters.http_client import new_client
from watcher.errors import ApiError

if TYPE_CHECKING:
    import httpx

REQUEST_S = 60.0
"""The limit for one request and its reply, in seconds. A page of tasks takes less than one."""
CONNECT_S = 10.0
"""The limit for the first byte of an event stream, in seconds."""
SILENCE_S = 45.0
"""The limit between two reads of an event stream, in seconds. The watcher sends at least a cursor every 15 s."""
PAGE_SIZE = 1000
"""Items of one page, the maximum of the API."""

Params = Mapping[str, str | int | bool | None]


@asynccontextmanager
async def open_api(url: str, token: str | None) -> AsyncIterator[WatcherApi]:
    """Open the API at this URL, through the proxy of the environment unless it is on this machine."""
    client = await to_thread.run_sync(partial(new_client, url, 1, direct=is_loopback(url)))
    async with client:
        yield WatcherApi(client, url, token)


def is_loopback(url: str) -> bool:
    """Whether a URL can only mean this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class WatcherApi:
    """The API of one watcher. JSON is passed and returned as Python values. Nothing is retried."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: str | None) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}

    async def get(self, path: str, params: Params | None = None) -> dict[str, Any]:
        """Return the JSON object at a path."""
        return _object(json_of(await self._request("GET", path, params=_texts(params))), self._url)

    async def post(self, path: str, body: Any) -> dict[str, Any]:
        """Post a JSON value. Returns the JSON object of the reply."""
        return _object(json_of(await self._request("POST", path, json=body)), self._url)

    async def items(self, path: str, member: str, params: Params, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the items of a list, read page by page, at most `limit`."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while limit is None or len(items) < limit:
            size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - len(items))
            page = await self.get(path, {**params, "limit": size, "after": after})
            items += _list(page, member, self._url)
            after = page.get("next")
            if after is None:
                break
        return items

    async def task(self, key: str) -> dict[str, Any] | None:
        """Return the explanation of a task, None if the store of the watcher does not have it."""
        reply = await self._request("GET", f"/v1/tasks/{quote(key, safe='/')}")
        if reply.status_code == 404 and problem_of(reply) is not None:
            return None
        return _object(json_of(reply), self._url)

    async def dead_letter(self, id_prefix: str) -> dict[str, Any]:
        """Return the dead letter with this id, or the only one whose id begins with this, with its body."""
        return await self.get(f"/v1/dead-letters/{quote(id_prefix, safe='')}")

    async def submit(self, messages: Sequence[str]) -> list[dict[str, Any]]:
        """Submit messages, each the text of a JSON value, unchanged. Returns an outcome for each task that they name, in the same
        order, also if none is valid."""
        content = f"[{','.join(messages)}]".encode()
        reply = await self._request("POST", "/v1/tasks", content=content, headers={"content-type": "application/json"})
        problem = problem_of(reply) if reply.status_code == 422 else None
        if problem is not None and isinstance(problem.get("tasks"), list):
            return _list(problem, "tasks", self._url)
        return _list(_object(json_of(reply), self._url), "tasks", self._url)

    @asynccontextmanager
    async def events(self, params: Params, cursor: str | None) -> AsyncIterator[AsyncGenerator[list[SentEvent], None]]:
        """Open the stream of events, after `cursor` if there is one. Yields the blocks that arrive together. Ends when the stream ends.

        Raises ApiError also when the stream breaks or is silent.
        """
        headers = {**self._headers, "accept": "text/event-stream", "cache-control": "no-store"}
        if cursor is not None:
            headers["last-event-id"] = cursor
        request = self._client.build_request("GET", f"{self._url}/v1/events", params=_texts(params), headers=headers)
        with _connection_errors(self._url), anyio.fail_after(CONNECT_S):
            reply = await self._client.send(request, stream=True)
        try:
            if not reply.is_success:
                with _connection_errors(self._url), anyio.fail_after(CONNECT_S):
                    await reply.aread()
                raise error_of(reply)
            if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                raise ApiError("foreign", f"{place_of(self._url)}: the reply is not a stream of events")
            yield self._blocks(reply)
        finally:
            await reply.aclose()

    async def _blocks(self, reply: httpx.Response) -> AsyncGenerator[list[SentEvent], None]:
        reader, chunks = EventStreamReader(), reply.aiter_bytes()
        while True:
            with _connection_errors(self._url), anyio.fail_after(SILENCE_S):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            try:
                blocks = reader.add(chunk)
            except ValueError:
                raise ApiError("foreign", f"{place_of(self._url)}: the stream is not UTF-8") from None
            if blocks:
                yield blocks

    async def _request(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any) -> httpx.Response:
        with _connection_errors(self._url), anyio.fail_after(REQUEST_S):
            return await self._client.request(method, f"{self._url}{path}", headers={**self._headers, **(headers or {})}, **options)


@contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    """Raise ApiError in place of an error of the connection."""
    import httpx

    try:
        yield
    except (httpx.HTTPError, OSError) as error:  # TimeoutError is an OSError
        raise connection_error(error, url) from None


def _texts(params: Params | None) -> dict[str, str]:
    """Query parameters as texts, without those that are None."""
    given = {name: value for name, value in (params or {}).items() if value is not None}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}


def _object(value: Any, url: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError("foreign", f"{place_of(url)}: the reply is not a JSON object")
    return value


def _list(value: dict[str, Any], member: str, url: str) -> list[dict[str, Any]]:
    found = value.get(member)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ApiError("foreign", f"{place_of(url)}: the reply has no list {member!r}")
    return found
