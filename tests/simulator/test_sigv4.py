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

from watcher.simulator.sigv4 import Scope, SignatureRefused, _hmac, _signing_key, verify
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
    """A request as botocore signs it: the independent opinion in these tests."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    SigV4Auth(Credentials(access, secret, token), service, "us-east-1").add_auth(request)
    parts = urlsplit(url)
    sent = {name.lower(): (value,) for name, value in request.headers.items()} | {"host": (parts.netloc,)}
    return HttpRequest(method, parts.path, parts.query, sent, body)


def check(request: HttpRequest, now: float | None = None, tokens: dict[str, str] | None = None) -> str:
    return verify(request, KEYS, tokens or {}, time.time() if now is None else now)


def refused(request: HttpRequest, now: float | None = None, tokens: dict[str, str] | None = None) -> str:
    with pytest.raises(SignatureRefused) as caught:
        check(request, now, tokens)
    return caught.value.code


URL = "http://127.0.0.1:8181/voice-connectors/vc/speaker-search-tasks/t1"


def test_the_key_is_derived_as_aws_publishes_it() -> None:
    """The signing key of AWS's own worked example (2012-02-15, us-east-1, iam) comes out to the last digit."""
    key = _signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Scope("AKIDEXAMPLE", "20120215", "us-east-1", "iam"))
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
    assert _hmac(b"key", b"The quick brown fox jumps over the lazy dog").hex().startswith("f7bc83f430538424")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=4), st.binary(max_size=20))
def test_whatever_an_id_contains_a_right_signature_is_accepted(ids: list[str], body: bytes) -> None:
    """Paths with any characters, percent-encoded as a client does, verify, and with another byte in the body they do not."""
    path = "/".join(quote(part, safe="-._~") for part in ids)
    request = signed(f"http://127.0.0.1/{path}?operation=stop&b=%20x&a=", method="POST", body=body)
    assert check(request) == "AKID"
    other = HttpRequest(request.method, request.path, request.query, request.headers, body + b"!")
    assert refused(other) == "InvalidSignatureException"


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/./a", "/a/", "/", "/a:b", "/a%3Ab", "/a%2Fb", "/~x"])
def test_paths_are_normalised_before_they_are_signed(path: str) -> None:
    """Dots, doubled and closing slashes and encoded characters are signed as AWS signs them."""
    assert check(signed(f"http://127.0.0.1{path}")) == "AKID"


def test_a_wrong_secret_is_refused() -> None:
    """A signature made with another secret is an InvalidSignatureException."""
    assert refused(signed(URL, secret="wrong")) == "InvalidSignatureException"


def test_each_signed_part_counts() -> None:
    """A request changed after it was signed is refused, whether in its method, path, query or a signed header."""
    good = signed(URL, headers={"X-Amz-Thing": "two  spaces"})
    assert check(good) == "AKID"
    for changed in (
        HttpRequest("POST", good.path, good.query, good.headers, b""),
        HttpRequest("GET", good.path + "2", good.query, good.headers, b""),
        HttpRequest("GET", good.path, "operation=stop", good.headers, b""),
        HttpRequest("GET", good.path, good.query, {**good.headers, "host": ("elsewhere",)}, b""),
        HttpRequest("GET", good.path, good.query, {**good.headers, "x-amz-thing": ("other",)}, b""),
    ):
        assert refused(changed) == "InvalidSignatureException"


def test_an_unknown_key_is_refused_before_its_signature() -> None:
    """An access key nobody has is an UnrecognizedClientException, as a revoked one."""
    assert refused(signed(URL, access="AKIDREVOKED")) == "UnrecognizedClientException"


def test_a_session_token_must_be_the_right_one() -> None:
    """A key with a session token is refused without it or with another; a key without one may come with any."""
    tokens = {"AKID": "token//+=="}
    assert check(signed(URL, token="token//+=="), tokens=tokens) == "AKID"
    assert refused(signed(URL, token="another"), tokens=tokens) == "UnrecognizedClientException"
    assert refused(signed(URL), tokens=tokens) == "UnrecognizedClientException"
    assert check(signed(URL, token="any")) == "AKID"


def test_a_token_that_is_not_signed_is_refused() -> None:
    """A session token slipped in after signing proves nothing."""
    good = signed(URL)
    slipped = HttpRequest("GET", good.path, "", {**good.headers, "x-amz-security-token": ("t",)}, b"")
    assert refused(slipped) == "InvalidSignatureException"


@pytest.mark.parametrize(("skew", "accepted"), [(-301, False), (-298, True), (298, True), (302, False)])
def test_a_clock_more_than_five_minutes_off_is_refused(skew: float, accepted: bool) -> None:
    """Within five minutes either way a signature is good; beyond, it says that it expired or is not yet current."""
    request = signed(URL)
    at = datetime.strptime(request.header("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if accepted:
        assert check(request, at + skew) == "AKID"
    else:
        with pytest.raises(SignatureRefused, match="not yet current" if skew < 0 else "expired"):
            check(request, at + skew)


def test_a_request_without_a_signature_is_told_so() -> None:
    """No Authorization header, one of another form, and one for another service each get AWS's word for it."""
    good = signed(URL)
    assert refused(HttpRequest("GET", good.path, "", {"host": ("h",)}, b"")) == "MissingAuthenticationTokenException"
    for header in ("Basic c2VjcmV0", "AWS4-HMAC-SHA256 Credential=AKID", good.header("authorization").replace("aws4_request", "aws4")):
        assert (
            refused(HttpRequest("GET", good.path, "", {**good.headers, "authorization": (header,)}, b"")) == "IncompleteSignatureException"
        )
    assert refused(signed(URL, service="s3")) == "InvalidSignatureException"
    undated = {name: value for name, value in good.headers.items() if name != "x-amz-date"}
    assert refused(HttpRequest("GET", good.path, "", undated, b"")) == "IncompleteSignatureException"
