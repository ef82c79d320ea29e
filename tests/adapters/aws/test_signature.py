"""Our signatures are the SDK's own."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from watcher.adapters.aws.signature import signed_headers

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
paths = st.lists(text | st.sampled_from(["", ".", ".."]), max_size=5).map(lambda parts: "/".join(["", *(quote(p, safe="") for p in parts)]))
queries = st.lists(st.tuples(text, text), max_size=4).map(
    lambda pairs: "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)
)
endpoints = st.sampled_from(
    [
        "https://voice-chime.us-east-1.amazonaws.com",
        "https://Voice.Example:443",
        "http://127.0.0.1:8181",
        "http://[::1]:80",
        "http://[::1]:8181",
        "http://localhost:80",
        "https://localhost:80/in/front",
    ]
)
times = st.integers(0, 4 * 4_000_000_000).map(lambda quarters: quarters / 4)
keys = st.builds(ReadOnlyCredentials, words, words, st.none() | st.just("") | words, st.none())


def by_the_sdk(url: str, key: ReadOnlyCredentials, region: str, service: str, at: float) -> dict[str, str]:
    request = AWSRequest(method="GET", url=url, headers={"User-Agent": "not signed"}, data=b"")
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(at, UTC)):
        SigV4Auth(key, service, region).add_auth(request)
    return {name: value for name, value in request.headers.items() if name != "User-Agent"}


@settings(deadline=None)  # nothing here is timed
@given(endpoint=endpoints, path=paths, query=queries, key=keys, region=words, service=words, at=times)
@example(
    "http://127.0.0.1:8181",
    "/a%2Fb/%C3%BC~.-_:",
    "b=1&a=2&a=1&a-=3",
    ReadOnlyCredentials("A", "s", "a//b+c==", None),
    "r",
    "chime",
    1795305599.999,
)
def test_a_signature_is_the_sdks(
    endpoint: str, path: str, query: str, key: ReadOnlyCredentials, region: str, service: str, at: float
) -> None:
    """For any path, query, credentials, scope and time we put the very headers that botocore puts."""
    url = f"{endpoint}{path}{'?' if query else ''}{query}"
    assert signed_headers(url, key, region, service, at) == by_the_sdk(url, key, region, service, at)


def test_a_new_day_has_a_new_key() -> None:
    """What is kept between signatures is never kept too long: not over midnight, not over new credentials."""
    old, new = ReadOnlyCredentials("A", "old", None, None), ReadOnlyCredentials("A", "new", None, None)
    midnight = datetime(2026, 11, 23, tzinfo=UTC).timestamp()
    for key, at in [(old, midnight - 0.001), (old, midnight), (new, midnight), (old, midnight - 0.001)]:
        url = "https://voice.example/x"
        assert signed_headers(url, key, "eu-central-1", "chime", at) == by_the_sdk(url, key, "eu-central-1", "chime", at)
