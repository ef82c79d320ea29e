from __future__ import annotations

import time
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from watcher.simulator.sigv4 import Scope, SignatureRejected, _hmac, _signing_key, verify
from watcher.simulator.wire import HttpRequest

KEYS = {"AKID": "secret/with+odd=characters"}


def signed(
    url: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    access: str = "AKID",
    secret: str = KEYS["AKID"],
    token: str | None = None,
    service: str = "chime",
    headers: dict[str, str] | None = None,
) -> HttpRequest:
    """Return a request that botocore signed."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    SigV4Auth(Credentials(access, secret, token), service, "us-east-1").add_auth(request)
    parts = urlsplit(url)
    sent = {name.lower(): (value,) for name, value in request.headers.items()} | {"host": (parts.netloc,)}
    return HttpRequest(method, parts.path, parts.query, sent, body)


def check(request: HttpRequest, now: float | None = None, tokens: dict[str, str] | None = None) -> str:
    return verify(request, KEYS, tokens or {}, time.time() if now is None else now)


def rejected(request: HttpRequest, now: float | None = None, tokens: dict[str, str] | None = None) -> str:
    with pytest.raises(SignatureRejected) as caught:
        check(request, now, tokens)
    return caught.value.code


URL = "http://127.0.0.1:8181/voice-connectors/vc/speaker-search-tasks/t1"


def test_the_signing_key_matches_the_example_of_aws() -> None:
    """The signing key of the published example (2012-02-15, us-east-1, iam) is derived exactly."""
    key = _signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Scope("AKIDEXAMPLE", "20120215", "us-east-1", "iam"))
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
    assert _hmac(b"key", b"The quick brown fox jumps over the lazy dog").hex().startswith("f7bc83f430538424")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=4), st.binary(max_size=20))
def test_a_valid_signature_is_accepted_for_any_id(ids: list[str], body: bytes) -> None:
    """A signed request with any characters in its path is accepted, and rejected with one more byte in its body."""
    path = "/".join(quote(part, safe="-._~") for part in ids)
    request = signed(f"http://127.0.0.1/{path}?operation=stop&b=%20x&a=", method="POST", body=body)
    assert check(request) == "AKID"
    other = HttpRequest(request.method, request.path, request.query, request.headers, body + b"!")
    assert rejected(other) == "InvalidSignatureException"


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/./a", "/a/", "/", "/a:b", "/a%3Ab", "/a%2Fb", "/~x"])
def test_paths_are_normalized_before_they_are_signed(path: str) -> None:
    """Dots, double slashes, a final slash and encoded characters are normalized as AWS does."""
    assert check(signed(f"http://127.0.0.1{path}")) == "AKID"


def test_a_wrong_secret_is_rejected() -> None:
    """A signature made with another secret is an InvalidSignatureException."""
    assert rejected(signed(URL, secret="wrong")) == "InvalidSignatureException"


def test_each_signed_part_is_verified() -> None:
    """A change of the method, path, query or a signed header after signing is rejected."""
    good = signed(URL, headers={"X-Amz-Thing": "two  spaces"})
    assert check(good) == "AKID"
    for changed in (
        HttpRequest("POST", good.path, good.query, good.headers, b""),
        HttpRequest("GET", good.path + "2", good.query, good.headers, b""),
        HttpRequest("GET", good.path, "operation=stop", good.headers, b""),
        HttpRequest("GET", good.path, good.query, {**good.headers, "host": ("elsewhere",)}, b""),
        HttpRequest("GET", good.path, good.query, {**good.headers, "x-amz-thing": ("other",)}, b""),
    ):
        assert rejected(changed) == "InvalidSignatureException"


def test_an_unknown_access_key_is_rejected() -> None:
    """An unknown access key is an UnrecognizedClientException, like a revoked one."""
    assert rejected(signed(URL, access="AKIDREVOKED")) == "UnrecognizedClientException"


def test_the_session_token_is_verified() -> None:
    """A key with a session token is rejected without it or with another; a key without one accepts any token."""
    tokens = {"AKID": "token//+=="}
    assert check(signed(URL, token="token//+=="), tokens=tokens) == "AKID"
    assert rejected(signed(URL, token="another"), tokens=tokens) == "UnrecognizedClientException"
    assert rejected(signed(URL), tokens=tokens) == "UnrecognizedClientException"
    assert check(signed(URL, token="any")) == "AKID"


def test_an_unsigned_session_token_is_rejected() -> None:
    """A session token that was added after signing is rejected."""
    good = signed(URL)
    added = HttpRequest("GET", good.path, "", {**good.headers, "x-amz-security-token": ("t",)}, b"")
    assert rejected(added) == "InvalidSignatureException"


@pytest.mark.parametrize(("skew", "accepted"), [(-301, False), (-298, True), (298, True), (302, False)])
def test_a_clock_difference_of_more_than_five_minutes_is_rejected(skew: float, accepted: bool) -> None:
    """A signature is accepted within five minutes; otherwise the error says that it expired or is not yet current."""
    request = signed(URL)
    at = datetime.strptime(request.header("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if accepted:
        assert check(request, at + skew) == "AKID"
    else:
        with pytest.raises(SignatureRejected, match="not yet current" if skew < 0 else "expired"):
            check(request, at + skew)


def test_an_incomplete_signature_gets_the_code_of_aws() -> None:
    """A missing, malformed or undated signature, and one for another service, get the code of AWS."""
    good = signed(URL)
    assert rejected(HttpRequest("GET", good.path, "", {"host": ("h",)}, b"")) == "MissingAuthenticationTokenException"
    for header in ("Basic c2VjcmV0", "AWS4-HMAC-SHA256 Credential=AKID", good.header("authorization").replace("aws4_request", "aws4")):
        assert (
            rejected(HttpRequest("GET", good.path, "", {**good.headers, "authorization": (header,)}, b"")) == "IncompleteSignatureException"
        )
    assert rejected(signed(URL, service="s3")) == "InvalidSignatureException"
    undated = {name: value for name, value in good.headers.items() if name != "x-amz-date"}
    assert rejected(HttpRequest("GET", good.path, "", undated, b"")) == "IncompleteSignatureException"
