"""What to do about a remote error fits its cause."""

from __future__ import annotations

import re

import pytest

from tests.pages import ROOT
from watcher.core.hints import hint, in_words
from watcher.errors import BatchFailed, CredentialsRejected, Denied, Invalid, RemoteError, Unavailable, Unreadable


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (Unavailable("stdout_closed", "stdout"), "restart the watcher with stdout open"),
        (Unavailable("ENOSPC", "out.jsonl"), "free space"),
        (Unavailable("EDQUOT", "out.jsonl"), "free space"),
        (Unavailable("EROFS", "out.jsonl"), "read-only"),
        (Unavailable("EACCES", "out.jsonl"), "permissions of the file"),
        (Denied("EACCES", "tasks.txt"), "permissions of the file"),
        (Unavailable("ENOENT", "no/out.jsonl"), "check the path"),
        (Invalid("ENOENT", "tasks.txt"), "check the path"),
        (Invalid("ENOTDIR", "tasks.txt"), "check the path"),
        (Unavailable("ENXIO", "pipe"), "start the program that reads it"),
        (Unavailable("EADDRINUSE", "cannot listen"), "api.listen"),
    ],
)
def test_an_error_of_this_machine_has_no_hint_about_a_service(error: RemoteError, advice: str) -> None:
    """An error of a file or of this machine has a hint that names its cause, and nothing about networks, proxies, or AWS."""
    assert advice in hint(error)
    assert not any(word in hint(error) for word in ("proxy", "AWS", "reachable", "identity"))


def test_a_service_that_does_not_answer_has_the_hint_about_the_network() -> None:
    """The hint for a service that cannot be reached still names the network and the endpoint variables."""
    assert "network, proxy" in hint(Unavailable("EndpointConnectionError"))
    assert "network, proxy" in hint(Unavailable("ECONNREFUSED"))


def test_a_role_that_cannot_be_assumed_has_a_hint_about_both_sides() -> None:
    """The trust policy belongs to the account of the role, the permission to that of the watcher; the keys are good."""
    advice = hint(CredentialsRejected("AccessDenied", "HTTP 403", unsent=True))
    assert "trust policy" in advice
    assert "sts:AssumeRole" in advice
    assert "targets in the configuration" in hint(CredentialsRejected("UnknownTarget", unsent=True))


def test_a_failed_call_about_several_tasks_has_the_hint_of_its_cause() -> None:
    """What failed is the call, for the same reason as a call about one task."""
    assert hint(BatchFailed(Denied("AccessDeniedException"))) == hint(Denied("AccessDeniedException"))


def test_a_server_that_answers_with_an_error_has_a_hint_about_the_server() -> None:
    """A server that answers 500 is reachable, so the hint is to look at the server and not at the network."""
    assert "check its log" in hint(Unavailable("500"))
    assert "network" not in hint(Unavailable("500"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NoRegionError", "set the Region"),
        ("InvalidRegionError", "correct AWS_REGION"),
        ("PartialCredentialsError", "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("NoCredentialsError", "no credentials were found"),
        ("UnrecognizedClientException", "revoked"),
    ],
)
def test_the_hint_fits_what_is_wrong_with_the_setup(code: str, words: str) -> None:
    """What is missing is to be set, what is invalid is to be corrected, and only keys that the service refused may be revoked."""
    found = hint(CredentialsRejected(code))
    assert words in found
    assert ("revoked" in found) == (words == "revoked")


@pytest.mark.parametrize("code", ["no_task", "other_task", "status", "result", "timestamp"])
def test_a_reply_that_a_kind_does_not_fit_has_a_hint_about_the_kind(code: str) -> None:
    """The hint names the kind and the command that finds its mistakes; another cause is possible too."""
    advice = hint(Unreadable(code), kind="my-build")
    assert "the kind my-build says: run watcher config check; if it finds no mistake" in advice
    assert "AWS_ENDPOINT_URL" in advice
    assert "config check" not in hint(Unreadable("407", foreign=True), kind="my-build")


def test_a_call_that_the_sdk_lacks_has_no_hint_about_credentials() -> None:
    """The kind is wrong, or the SDK is older than the service."""
    advice = hint(Unreadable("no_operation", unsent=True), kind="my-build")
    assert advice.startswith("the installed AWS SDK does not have this service or operation: run watcher config check")


def test_each_code_of_ours_for_an_unreadable_reply_is_explained() -> None:
    """Such a code is all that readiness and the log show of the error; a code of AWS stays as it is."""
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "watcher").rglob("*.py")]
    codes = {code for text in texts for code in re.findall(r"Unreadable\(\s*\"([a-z_]+)\"", text)}
    assert len(codes) > 10
    assert [code for code in codes if not in_words(code).startswith(f"{code}, the ")] == []
    assert in_words("PermissionError").endswith(", a file that the AWS configuration names cannot be read")
    assert in_words("ThrottlingException") == "ThrottlingException"


def test_a_bug_has_no_hint_about_a_service() -> None:
    """Nothing that an operator can check has caused it."""
    assert hint(Unreadable("defect")) == "report it, with the traceback in the log"


def test_a_request_that_could_not_be_made_has_no_hint_about_keys() -> None:
    """A URL that is none is named, and anything else before a request is a matter of the setup."""
    assert "are URLs" in hint(CredentialsRejected("invalid_url", unsent=True))
    assert "AWS configuration files" in hint(CredentialsRejected("not_sent", unsent=True))
