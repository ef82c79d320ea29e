"""What the SDK raises, in our words: the cases that no peer on loopback can bring about."""

from __future__ import annotations

import ssl
from typing import Any

import botocore.exceptions as sdk
import pytest

from watcher import errors
from watcher.adapters.aws import codes
from watcher.adapters.aws.errors import classify, remote_error, setup_error

CANARY = "canary-7f3a"
NOW = 1795341600.0


def client_error(code: Any, status: Any, operation: str = "GetSpeakerSearchTask", **headers: str) -> sdk.ClientError:
    meta = {"HTTPStatusCode": status, "HTTPHeaders": {name.replace("_", "-"): value for name, value in headers.items()}}
    return sdk.ClientError({"Error": {"Code": code, "Message": CANARY}, "ResponseMetadata": meta}, operation)


QUEUES_TOPICS_AND_BUSES = [
    ("AWS.SimpleQueueService.NonExistentQueue", 400, errors.NotFound),
    ("QueueDoesNotExist", 400, errors.NotFound),
    ("NotFound", 404, errors.NotFound),
    ("ResourceNotFoundException", 400, errors.NotFound),
    ("AuthorizationError", 403, errors.Denied),
    ("AccessDenied", 403, errors.Denied),
    ("KmsThrottled", 400, errors.Throttled),
    ("AWS.SimpleQueueService.OverLimit", 403, errors.Throttled),
    ("RequestThrottled", 403, errors.Throttled),
    ("InternalException", 500, errors.Unavailable),
    ("InternalFailure", 200, errors.Unavailable),
    ("RequestTimeout", 408, errors.Unavailable),
    ("ReceiptHandleIsInvalid", 400, errors.Invalid),
    ("InvalidParameter", 400, errors.Invalid),
    ("MissingAuthenticationToken", 403, errors.CredentialsRejected),
    ("ResourceLimitExceededException", 400, errors.Invalid),
    ("", 404, errors.NotFound),
    ("", 401, errors.CredentialsRejected),
    ("", 418, errors.Invalid),
    ("", 302, errors.Unreadable),
    ("", 0, errors.Unreadable),
]


@pytest.mark.parametrize(("code", "status", "expected"), QUEUES_TOPICS_AND_BUSES)
def test_codes_of_other_services_have_a_class(code: str, status: int, expected: type[errors.RemoteError]) -> None:
    """The code decides, then the status: SQS says not found with a 400, and a word nobody knows is what its status is."""
    assert type(remote_error(client_error(code, status))) is expected


@pytest.mark.parametrize("status", [400, 403, 404, 405, 407, 409, 413])
def test_a_page_of_somebody_else_says_nothing_about_a_task(status: int) -> None:
    """A proxy, a portal or a wrong endpoint refuses in HTML and without an error code: no watch may end of that."""
    assert type(remote_error(client_error(str(status), status, content_type="text/html; charset=utf-8"))) is errors.Unreadable
    assert type(remote_error(client_error("AccessDenied", status, content_type="text/xml"))) is errors.Denied


def test_a_page_that_tells_to_wait_is_still_obeyed() -> None:
    """Whoever stands between may throttle too, or be down, or want other credentials."""
    page = {"content_type": "text/html"}
    found = [type(remote_error(client_error(str(status), status, **page))) for status in (401, 429, 503)]
    assert found == [errors.CredentialsRejected, errors.Throttled, errors.Unavailable]


SDK_ERRORS = [
    (sdk.EndpointConnectionError(endpoint_url=f"http://{CANARY}"), errors.Unavailable),
    (sdk.ConnectTimeoutError(endpoint_url=CANARY), errors.Unavailable),
    (sdk.ReadTimeoutError(endpoint_url=CANARY), errors.Unavailable),
    (sdk.ConnectionClosedError(endpoint_url=CANARY), errors.Unavailable),
    (sdk.ProxyConnectionError(proxy_url=CANARY), errors.Unavailable),
    (sdk.SSLError(endpoint_url=CANARY, error=CANARY), errors.Unavailable),
    (sdk.HTTPClientError(error=OSError(CANARY)), errors.Unavailable),
    (sdk.HTTPClientError(error=ssl.SSLError(CANARY)), errors.Unavailable),
    (sdk.HTTPClientError(error=CANARY), errors.Unavailable),
    (sdk.HTTPClientError(error=ValueError(CANARY)), errors.Unreadable),
    (sdk.HTTPClientError(error=errors.Unreadable("302", "redirect")), errors.Unreadable),
    (sdk.ChecksumError(checksum_type="x", expected_checksum=CANARY, actual_checksum=CANARY), errors.Unreadable),
    (sdk.ParamValidationError(report=CANARY), errors.Invalid),
    (sdk.NoCredentialsError(), errors.CredentialsRejected),
    (sdk.PartialCredentialsError(provider=CANARY, cred_var="x"), errors.CredentialsRejected),
    (sdk.CredentialRetrievalError(provider="x", error_msg=CANARY), errors.CredentialsRejected),
    (sdk.TokenRetrievalError(provider="x", error_msg=CANARY), errors.CredentialsRejected),
    (sdk.SSOTokenLoadError(error_msg=CANARY), errors.CredentialsRejected),
    (sdk.UnauthorizedSSOTokenError(), errors.CredentialsRejected),
    (sdk.ProfileNotFound(profile=CANARY), errors.CredentialsRejected),
    (sdk.MetadataRetrievalError(error_msg=CANARY), errors.CredentialsRejected),
    (sdk.NoRegionError(), errors.CredentialsRejected),
    (sdk.UnknownServiceError(service_name=CANARY, known_service_names=[]), errors.CredentialsRejected),
    (sdk.EndpointResolutionError(msg=CANARY), errors.CredentialsRejected),
    (FileNotFoundError(2, CANARY), errors.CredentialsRejected),
    (PermissionError(13, CANARY), errors.CredentialsRejected),
    (ConnectionResetError(CANARY), errors.Unavailable),
    (TimeoutError(CANARY), errors.Unavailable),
    (TypeError(CANARY), errors.Unreadable),
    (AttributeError(CANARY), errors.Unreadable),
    (UnicodeDecodeError("utf-8", b"x", 0, 1, CANARY), errors.Unreadable),
    (RecursionError(CANARY), errors.Unreadable),
    (RuntimeError(CANARY), errors.Unreadable),
    (KeyError(CANARY), errors.Unreadable),
    (errors.Busy("b"), errors.Busy),
]


@pytest.mark.parametrize(("error", "expected"), SDK_ERRORS, ids=lambda x: type(x).__name__ if isinstance(x, Exception) else "")
def test_each_error_of_the_sdk_has_a_class(error: Exception, expected: type[errors.RemoteError]) -> None:
    """Anything a call may raise is one of ours, and none of its words come along."""
    named = remote_error(error, now=NOW)
    assert type(named) is expected
    assert CANARY not in str(named)


def test_our_own_tables_name_errors_that_exist() -> None:
    """A name that botocore no longer has would silently be unreadable."""
    assert [name for name in codes.CREDENTIAL_ERRORS | codes.SETUP_ERRORS if not hasattr(sdk, name)] == []


def test_no_code_is_in_two_tables() -> None:
    """One code means one thing."""
    tables = [codes.THROTTLED, codes.UNAVAILABLE, codes.NOT_FOUND, codes.DENIED, codes.EXPIRED, codes.BAD_SIGNATURE, codes.BAD_CREDENTIALS]
    assert len(frozenset[str]().union(*tables)) == sum(len(table) for table in tables)


def test_a_missing_region_ends_no_watch() -> None:
    """No Region is set up around the process like credentials are, so it is their class, under its own code."""
    assert str(remote_error(sdk.NoRegionError())) == "NoRegionError"


@pytest.mark.parametrize("code", [CANARY, "a" * 65, "+15555550100", "x y", "", "5", 5, None, ["x"]])
def test_a_code_that_is_no_word_is_not_repeated(code: Any) -> None:
    """An error code that may be an identifier is told as its HTTP status."""
    named = remote_error(client_error(code, 400))
    assert (type(named), named.code, str(named)) == (errors.Invalid, "400", "400")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Sun, 22 Nov 2026 10:00:30 GMT", 30.0),
        ("soon", None),
    ],
)
def test_retry_after_is_passed_on(value: str, seconds: float | None) -> None:
    """An error that is worth a retry has the seconds of the `Retry-After` header of its reply, in both formats."""
    assert remote_error(client_error("ThrottledClientException", 429, retry_after=value), now=NOW).retry_after == seconds
    assert remote_error(client_error("ServiceUnavailableException", 503, retry_after=value), now=NOW).retry_after == seconds


@pytest.mark.parametrize(("date", "skew"), [("Sun, 22 Nov 2026 09:59:00 GMT", -60.0), ("garbage", None), ("", None)])
def test_the_clock_skew_of_a_signature_error(date: str, skew: float | None) -> None:
    """The service's clock minus ours, None where it does not say."""
    named = remote_error(client_error("RequestTimeTooSkewed", 403, date=date), now=NOW)
    assert isinstance(named, errors.CredentialsRejected)
    assert named.clock_skew_s == skew
    assert remote_error(client_error("RequestTimeTooSkewed", 403, date=date)).clock_skew_s is None  # type: ignore[attr-defined]


def test_the_sdks_own_calls_for_credentials_are_no_tasks_fault() -> None:
    """That a role may not be assumed is never read as a permission missing on a task."""
    denied = remote_error(client_error("AccessDenied", 403, "AssumeRole"))
    throttled = remote_error(client_error("Throttling", 400, "AssumeRoleWithWebIdentity"))
    assert (type(denied), type(throttled)) == (errors.CredentialsRejected, errors.Unavailable)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError(CANARY), errors.CredentialsRejected),
        (TypeError(CANARY), errors.CredentialsRejected),
        (sdk.ParamValidationError(report=CANARY), errors.CredentialsRejected),
        (client_error("AccessDenied", 403), errors.CredentialsRejected),
        (client_error("Throttling", 400), errors.Unavailable),
        (sdk.ConnectTimeoutError(endpoint_url=CANARY), errors.Unavailable),
        (TimeoutError(), errors.Unavailable),
    ],
)
def test_what_keeps_a_client_from_being_made(error: Exception, expected: type[errors.RemoteError]) -> None:
    """Before anything was asked, it is either the network or the set-up."""
    named = setup_error(error)
    assert type(named) is expected
    assert CANARY not in str(named)


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_has_a_class_without_a_code(status: int) -> None:
    """A bare status is enough to go on."""
    named = classify("", status)
    assert named.code == str(status)
    assert (status < 400) == isinstance(named, errors.Unreadable)


def test_a_response_without_metadata_is_read() -> None:
    """An error reply that lacks what botocore normally adds is still named."""
    assert type(remote_error(sdk.ClientError({}, "X"))) is errors.Unreadable
