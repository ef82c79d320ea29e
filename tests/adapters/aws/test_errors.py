"""The named error for each exception of the SDK, for the cases that no peer on loopback can cause."""

from __future__ import annotations

import ssl
from typing import Any

import aiohttp
import botocore.exceptions as sdk
import pytest

from watcher import errors
from watcher.adapters.aws import codes
from watcher.adapters.aws.errors import classify, remote_error, setup_error
from watcher.adapters.aws.polled_call import PolledCall

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
    ("", 404, errors.Unreadable),
    ("", 401, errors.Unreadable),
    ("", 418, errors.Unreadable),
    ("", 302, errors.Unreadable),
    ("", 0, errors.Unreadable),
]


@pytest.mark.parametrize(("code", "status", "expected"), QUEUES_TOPICS_AND_BUSES)
def test_codes_of_other_services_have_a_class(code: str, status: int, expected: type[errors.RemoteError]) -> None:
    """The error code has precedence over the status (SQS reports a missing queue with status 400); an unknown code has none."""
    assert type(remote_error(client_error(code, status))) is expected


@pytest.mark.parametrize("status", [400, 403, 404, 405, 407, 409, 413])
def test_a_text_page_says_nothing_about_a_task(status: int) -> None:
    """An error page in HTML without an error code comes from a proxy or a wrong endpoint, and ends no watch."""
    assert type(remote_error(client_error(str(status), status, content_type="text/html; charset=utf-8"))) is errors.Unreadable
    assert type(remote_error(client_error("AccessDenied", status, content_type="text/xml"))) is errors.Denied


def test_a_text_page_can_be_a_throttle_or_an_outage() -> None:
    """An error page of a proxy with status 408, 429 or 503 is classified by its status."""
    page = {"content_type": "text/html"}
    found = [type(remote_error(client_error(str(status), status, **page))) for status in (408, 429, 503)]
    assert found == [errors.Unavailable, errors.Throttled, errors.Unavailable]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 418, 422, 424, 498])
def test_an_answer_without_an_error_code_is_not_the_services(status: int) -> None:
    """It is unreadable and foreign, whether the SDK puts the status, nothing, or a number in the place of the code."""
    for code in (str(status), "", status, None):
        named = remote_error(client_error(code, status, content_type="application/json"))
        assert isinstance(named, errors.Unreadable)
        assert named.foreign
        assert named.code == str(status)


@pytest.mark.parametrize(
    ("code", "status"),
    [("RouteNotFound", 404), ("Forbidden", 403), ("NotFound", 404), ("Gone", 410), ("InvalidRoute", 400), ("Conflict", 409)],
)
def test_a_code_that_the_polled_service_does_not_have_is_not_its_own(code: str, status: int) -> None:
    """Of a service whose tasks are polled, only the codes in its model and those common to AWS end a watch; a queue may have more."""
    named = remote_error(client_error(code, status), polled=PolledCall())
    assert isinstance(named, errors.Unreadable)
    assert named.foreign
    assert not isinstance(remote_error(client_error(code, status)), errors.Unreadable)
    assert type(remote_error(client_error("ValidationException", 400), polled=PolledCall())) is errors.Invalid


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
    (sdk.HTTPClientError(error=ValueError(CANARY)), errors.CredentialsRejected),
    (sdk.HTTPClientError(error=aiohttp.InvalidURL(CANARY)), errors.CredentialsRejected),
    (sdk.HTTPClientError(error=aiohttp.ClientPayloadError(CANARY)), errors.Unreadable),
    (sdk.HTTPClientError(error=errors.Unreadable("302", "redirect")), errors.Unreadable),
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
    (sdk.UnknownServiceError(service_name=CANARY, known_service_names=[]), errors.Unreadable),
    (sdk.EndpointResolutionError(msg=CANARY), errors.CredentialsRejected),
    (FileNotFoundError(2, CANARY), errors.CredentialsRejected),
    (PermissionError(13, CANARY), errors.CredentialsRejected),
    (ConnectionResetError(CANARY), errors.Unavailable),
    (TimeoutError(CANARY), errors.Unavailable),
    (RuntimeError(CANARY), errors.CredentialsRejected),
    (errors.Busy("b"), errors.Busy),
]


@pytest.mark.parametrize(("error", "expected"), SDK_ERRORS, ids=lambda x: type(x).__name__ if isinstance(x, Exception) else "")
def test_each_error_of_the_sdk_has_a_class(error: Exception, expected: type[errors.RemoteError]) -> None:
    """Every exception of a call becomes a named error whose text contains nothing of the exception's."""
    named = remote_error(error, now=NOW)
    assert type(named) is expected
    assert CANARY not in str(named)


DAMAGED = [
    sdk.ChecksumError(checksum_type="x", expected_checksum=CANARY, actual_checksum=CANARY),
    sdk.HTTPClientError(error=ValueError(CANARY)),
    TypeError(CANARY),
    AttributeError(CANARY),
    UnicodeDecodeError("utf-8", b"x", 0, 1, CANARY),
    RecursionError(CANARY),
    RuntimeError(CANARY),
    KeyError(CANARY),
]


@pytest.mark.parametrize("error", DAMAGED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, errors.CredentialsRejected),
        (200, errors.Unreadable),
        (417, errors.Unreadable),
        (429, errors.Throttled),
        (502, errors.Unavailable),
    ],
)
def test_an_exception_is_about_the_setup_until_a_reply_comes(
    error: Exception, status: int | None, expected: type[errors.RemoteError]
) -> None:
    """Before a reply nothing but the setup can cause it; after that the reply is damaged, and its status decides."""
    named = remote_error(error, status=status)
    assert type(named) is expected
    assert CANARY not in str(named)
    assert not isinstance(named, errors.CredentialsRejected) or named.unsent
    assert named.code in ("not_sent", "invalid_url", "unparsable", "417", "429", "502"), "it says what failed, not in which class of Python"


@pytest.mark.parametrize(
    ("status", "expected"), [(407, errors.Unreadable), (403, errors.Unreadable), (502, errors.Unavailable), (504, errors.Unavailable)]
)
def test_a_proxy_that_refuses_a_tunnel_is_named(status: int, expected: type[errors.RemoteError]) -> None:
    """A proxy's answer to CONNECT is its own: a refusal is foreign, and one that cannot reach the service is an outage."""
    refusal = aiohttp.ClientHttpProxyError(None, (), status=status, message=CANARY)  # type: ignore[arg-type]  # no request is needed
    named = remote_error(sdk.ProxyConnectionError(proxy_url=CANARY, error=refusal))
    assert type(named) is expected
    assert CANARY not in str(named)
    assert not isinstance(named, errors.Unreadable) or (named.foreign and named.code == str(status))


def test_the_tables_name_exceptions_that_exist() -> None:
    """Each exception in the tables exists in botocore; a removed one would silently count as unreadable."""
    assert [name for name in codes.CREDENTIAL_ERRORS | codes.SETUP_ERRORS if not hasattr(sdk, name)] == []


def test_no_code_is_in_two_tables() -> None:
    """Each error code is in one table only."""
    tables = [codes.THROTTLED, codes.UNAVAILABLE, codes.NOT_FOUND, codes.DENIED, codes.EXPIRED, codes.BAD_SIGNATURE, codes.BAD_CREDENTIALS]
    assert len(frozenset[str]().union(*tables)) == sum(len(table) for table in tables)


def test_a_missing_region_ends_no_watch() -> None:
    """A missing Region raises CredentialsRejected with its own code, because the setup is wrong and not the task."""
    assert str(remote_error(sdk.NoRegionError())) == "NoRegionError"


@pytest.mark.parametrize("code", [CANARY, "a" * 65, "+15555550100", "x y", "", "5", 5, None, ["x"]])
def test_a_code_that_is_not_a_word_is_left_out(code: Any) -> None:
    """An error code that could be an identifier is replaced by the HTTP status."""
    named = remote_error(client_error(code, 400))
    assert (type(named), named.code) == (errors.Unreadable, "400")
    assert str(code) not in str(named).removeprefix("400") or str(code) in ("", "None", "5")


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
    """A signature error has the service's clock minus this machine's, or None without a date."""
    named = remote_error(client_error("RequestTimeTooSkewed", 403, date=date), now=NOW)
    assert isinstance(named, errors.CredentialsRejected)
    assert named.clock_skew_s == skew
    assert remote_error(client_error("RequestTimeTooSkewed", 403, date=date)).clock_skew_s is None  # type: ignore[attr-defined]


def test_an_error_while_fetching_credentials_is_not_about_a_task() -> None:
    """If the SDK may not assume a role or is throttled doing so, the error is neither a denial nor a throttle of a task."""
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
def test_a_client_that_cannot_be_created_is_a_wrong_setup(error: Exception, expected: type[errors.RemoteError]) -> None:
    """An exception while creating a client is caused by the network or by the setup, and by nothing else."""
    named = setup_error(error)
    assert type(named) is expected
    assert CANARY not in str(named)


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_without_a_code_has_a_named_error(status: int) -> None:
    """Only a throttle, a timeout, or an outage is believed without an error code; everything else is Unreadable."""
    named = classify("", status)
    assert named.code == str(status)
    expected = errors.Throttled if status == 429 else errors.Unavailable if status >= 500 or status == 408 else errors.Unreadable
    assert type(named) is expected


def test_a_response_without_metadata_is_read() -> None:
    """An error reply that lacks what botocore normally adds is still named."""
    assert type(remote_error(sdk.ClientError({}, "X"))) is errors.Unreadable
