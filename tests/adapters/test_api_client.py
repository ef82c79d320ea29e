from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.adapters.api_client import SentEvent, WatcherApi, is_loopback
from watcher.adapters.api_client.client import CONNECT_S, REQUEST_S, SILENCE_S
from watcher.adapters.api_client.server_sent_events import EventStreamReader
from watcher.errors import ApiError

URL = "http://watcher.example.com:8080/base/"
STREAM = {"content-type": "text/event-stream; charset=utf-8"}


def api(answer: Callable[[httpx.Request], httpx.Response], token: str | None = None) -> WatcherApi:
    """A client whose requests reach a function in place of a network."""

    async def handle(request: httpx.Request) -> httpx.Response:
        return answer(request)

    return WatcherApi(httpx.AsyncClient(transport=httpx.MockTransport(handle), timeout=None), URL, token)


texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n\r\0"), min_size=1)


@given(blocks=st.lists(st.tuples(texts, st.none() | texts)), data=st.data(), end=st.sampled_from(["\n", "\r\n"]))
def test_a_stream_is_read_however_its_bytes_arrive(blocks: list[tuple[str, str | None]], data: st.DataObject, end: str) -> None:
    """Every block is read once, in order, wherever the stream is cut into pieces; comments and other fields are ignored."""
    lines = ["retry: 1000", ": comment", ""]
    for cursor, event in blocks:
        lines += [f"id: {cursor}", *([] if event is None else [f"data: {event}"]), ""]
    content = end.join([*lines, "id: unfinished"]).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)))))
    reader, found = EventStreamReader(), []
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        found += reader.add(content[start:stop])
    assert found == [SentEvent(cursor, event) for cursor, event in blocks]


def test_data_over_several_lines_is_joined() -> None:
    """Several data fields of a block are one text, as the standard says."""
    assert EventStreamReader().add(b"data: a\ndata:b\n\n") == [SentEvent(None, "a\nb")]


async def test_a_request_has_the_path_the_token_and_the_parameters() -> None:
    """The path of the URL is kept, a key is encoded once more, and parameters that are None are left out."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"tasks": [], "next": None})

    client = api(answer, "secret")
    await client.items("/v1/tasks", "tasks", {"open": True, "kind": None})
    await client.task("speaker-search/a%2Fb/t 1")
    assert [str(request.url) for request in seen] == [
        "http://watcher.example.com:8080/base/v1/tasks?open=true&limit=1000",
        "http://watcher.example.com:8080/base/v1/tasks/speaker-search/a%252Fb/t%201",
    ]
    assert {request.headers["authorization"] for request in seen} == {"Bearer secret"}


async def test_pages_are_read_up_to_the_limit() -> None:
    """A list is read page by page, and no page asks for more items than are wanted."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        params = request.url.params
        asked.append((params["limit"], params.get("after")))
        first = int(params.get("after", "0"))
        rows = [{"n": n} for n in range(first, first + int(params["limit"]))]
        return httpx.Response(200, json={"tasks": rows, "next": str(first + len(rows))})

    found = await api(answer).items("/v1/tasks", "tasks", {}, 1500)
    assert [each["n"] for each in found] == list(range(1500))
    assert asked == [("1000", None), ("500", "1000")]


async def read_events(client: WatcherApi, found: list[SentEvent]) -> None:
    """Add what the stream brings to a list, until it ends."""
    async with client.events({"after": "start"}, "cursor") as batches:
        async for batch in batches:
            found += batch


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    await anyio.sleep_forever()


@pytest.mark.looptime
async def test_a_silent_stream_is_given_up(looptime: Callable[[], float]) -> None:
    """A stream that brings nothing for 45 s, three times as long as the watcher is ever silent, counts as a lost connection."""
    client = api(lambda _: httpx.Response(200, headers=STREAM, content=_chunks(b"id: a\ndata: {}\n\n")))
    found: list[SentEvent] = []
    with pytest.raises(ApiError, match="timeout") as error:
        await read_events(client, found)
    assert (found, error.value.reason, looptime) == ([SentEvent("a", "{}")], "unreachable", SILENCE_S)


@pytest.mark.looptime
@pytest.mark.parametrize(("is_stream", "limit_s"), [(True, CONNECT_S), (False, REQUEST_S)])
async def test_a_request_without_an_answer_is_given_up(looptime: Callable[[], float], is_stream: bool, limit_s: float) -> None:
    """A watcher that accepts a connection and does not answer is unreachable after a limit."""

    async def handle(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    client = WatcherApi(httpx.AsyncClient(transport=httpx.MockTransport(handle), timeout=None), URL, None)
    with pytest.raises(ApiError, match="timeout"):
        await (read_events(client, []) if is_stream else client.get("/v1/tasks"))
    assert looptime == limit_s


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (httpx.Response(200, text="<html>"), "foreign"),
        (httpx.Response(200, headers=STREAM, content=b"id: \xff\n\n"), "foreign"),
        (httpx.Response(302, headers={"location": "https://other.example.com/x"}), "redirect"),
        (httpx.Response(410, json={"detail": "old"}, headers={"content-type": "application/problem+json"}), "gone"),
        (httpx.Response(503, headers={"retry-after": "3"}), "busy"),
    ],
)
async def test_a_reply_that_is_no_stream_is_an_error(reply: httpx.Response, reason: str) -> None:
    """Each reply that brings no events has a reason of its own."""
    with pytest.raises(ApiError) as error:
        await read_events(api(lambda _: reply), [])
    assert error.value.reason == reason


async def test_outcomes_come_also_where_no_task_is_valid() -> None:
    """A problem document with outcomes is the result of a submission; one without is an error."""
    body = {"status": 422, "detail": "no", "tasks": [{"outcome": "invalid"}]}
    problem = {"content-type": "application/problem+json"}
    found = await api(lambda _: httpx.Response(422, content=json.dumps(body), headers=problem)).submit(["{}"])
    assert found == [{"outcome": "invalid"}]
    with pytest.raises(ApiError, match="no"):
        await api(lambda _: httpx.Response(422, content=b'{"detail": "no"}', headers=problem)).submit(["{}"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1", True),
        ("http://127.5.5.5", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://127.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_a_url_names_this_machine(url: str, expected: bool) -> None:
    """Only loopback addresses and localhost are this machine."""
    assert is_loopback(url) is expected
