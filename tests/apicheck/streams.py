"""Streams of events do not end, so schemathesis cannot read them: here each is read up to its first bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import httpx

ACCEPT = {"Accept": "text/event-stream"}
AFTER = ["start", "now", "", "no cursor", "é", "\0", "A" * 20_001, "AAAA"]
FILTERS: list[Mapping[str, str]] = [
    {},
    {"task": "speaker-search/abc123/partial-1"},
    {"kind": "voice-tone", "terminal": "true"},
    {"terminal": "maybe"},
    {"task": "\0"},
    {"limit": "0"},
    {"wait": "nan"},
    {"wait": "61", "limit": "1001"},
]
LAST: list[Mapping[str, str]] = [{}, {"Last-Event-ID": "start"}, {"Last-Event-ID": "x"}, {"Last-Event-ID": "%00"}]


async def check_streams(url: str) -> int:
    """Open a stream for each combination. Returns the number of requests. Raises AssertionError for an unexpected answer."""
    count = 0
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        for after, filters, last in product(AFTER, FILTERS, LAST):
            async with client.stream("GET", "/v1/events", params={"after": after, **filters}, headers={**ACCEPT, **last}) as reply:
                media_type = reply.headers["content-type"].partition(";")[0]
                expected = {200: "text/event-stream", 400: "application/problem+json"}
                assert expected.get(reply.status_code) == media_type, (after, filters, last, reply.status_code)
                assert await anext(reply.aiter_bytes())
            count += 1
    return count
