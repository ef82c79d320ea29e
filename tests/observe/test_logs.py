"""The log: its lines are in one format, and contain no personal data and no secrets, whatever code wrote them."""

import io
import json
import logging
from dataclasses import dataclass

import pytest
import structlog

from watcher.errors import Unreadable
from watcher.model import Step, TaskRef, Watch
from watcher.observe.logs import LogSettings, configure
from watcher.observe.redaction import MASK, redact, redact_text

PROFILE = "vp7f3kQ-canary-profile"
TOKEN = "IQoJb3JpZ2luX2VjE" + "Ab9/" * 40
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYzzCANARYKEY+"

CANARIES = {  # a value that must not be logged: a text that contains it
    PROFILE: f"{{'SpeakerSearchDetails': {{'Results': [{{'VoiceProfileId': '{PROFILE}', 'ConfidenceScore': 0.9}}]}}}}",
    "canary-json-profile": '{"voice_profile_id": "canary-json-profile"}',
    "canary-twice-encoded": r'"{\"VoiceProfileId\":\"canary-twice-encoded\"}"',
    "canary-arn-profile": "no access to arn:aws:chime:us-east-1:111122223333:voice-profile/canary-arn-profile today",
    "0a1b2c3d-1111-4222-8333-944445555666": "profile v-0a1b2c3d-1111-4222-8333-944445555666 expired",
    "0.8675309": "ConfidenceScore=0.8675309",
    "2065550100": "caller +12065550100 hung up",
    "0143": "caller +44 (20) 7946-0143 hung up",
    "5550177": "sip:%2B12065550177@example.com",
    "6015550123": "tel:16015550123",
    "canary-transaction": "TransactionId: canary-transaction",
    "canary words": "StatusMessage: the canary words of a caller, and more",
    "AKIAIOSFODNN7EXAMPLE": "key AKIAIOSFODNN7EXAMPLE is disabled",
    "ASIAIOSFODNN7EXAMPLE": "Credential=ASIAIOSFODNN7EXAMPLE/20261122/us-east-1/chime/aws4_request",
    SECRET: f"loaded {SECRET} from the environment",
    TOKEN: f"X-Amz-Security-Token={TOKEN}&X-Amz-Date=1",
    TOKEN[5:]: f"token was {TOKEN[5:]}",
    "canaryBearer99": "Authorization: Bearer canaryBearer99",
    "c2VjcmV0Y2FuYXJ5": "whsec_c2VjcmV0Y2FuYXJ5",
    "hunter2canary": "password='hunter2canary'",
    "canary input": "Input should be a valid string [type=string_type, input_value=['canary input'], input_type=list]",
}


LOGGERS = ("watcher.", "aiobotocore.", "botocore.", "aiohttp.client", "httpx", "uvicorn.error")
"""How the names of the loggers of these tests begin. Others belong to servers that still run in threads of this process."""


def lines(stream):
    """What these tests logged to the stream."""
    every = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in every if line["logger"].startswith(LOGGERS)]


@pytest.fixture
def written():
    """Returns what the test logged."""
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    return lambda: lines(stream)


def fail_with(text):
    """Raise an exception that has another one as its cause."""
    try:
        {}[text]
    except KeyError as error:
        raise Unreadable("shape", text) from error


@pytest.mark.parametrize("canary", CANARIES)
def test_private_values_are_masked_in_a_text(canary):
    """Each form of personal data and of secrets is masked in a text."""
    assert canary in CANARIES[canary]
    redacted = redact_text(CANARIES[canary])
    assert canary not in redacted
    assert MASK in redacted


@pytest.mark.parametrize("canary", CANARIES)
def test_private_values_are_not_logged_in_any_way(canary, written):
    """No private value is logged as a fact, an argument, a nested value or an exception, by structlog or the standard library."""
    text = CANARIES[canary]
    ours, theirs = structlog.get_logger("watcher.test"), logging.getLogger("botocore.test")
    ours.warning("fact", detail=text, nested={"list": [{"deep": (text,)}]}, **{"odd key " + text: 1})
    theirs.warning("got %s", text)
    try:
        fail_with(text)
    except Unreadable as error:
        ours.exception("poll_failed", error=error)
        theirs.error("failed", exc_info=True)
        ours.error("group", exc_info=ExceptionGroup("several", [error]))
    logged = written()
    assert len(logged) == 5
    assert canary not in json.dumps(logged, ensure_ascii=False)
    assert ["Traceback" in line.get("exception", "") for line in logged] == [False, False, True, True, True]


@dataclass
class Observed:
    status: str
    message: str
    result: dict


@pytest.mark.parametrize(
    "key",
    [
        *("voice_profile_id", "VoiceProfileId", "confidence", "ConfidenceScore", "phone_number", "TransactionId", "StatusMessage"),
        *("message_body", "body", "results", "context", "Authorization", "webhook_secret", "session_token", "aws_secret_access_key"),
        "X-Amz-Security-Token",
    ],
)
def test_a_private_key_masks_its_value_at_any_depth(key):
    """The value of a private key is masked as a whole, also numbers and objects."""
    line = redact(None, "info", {"event": "x", key: {"any": "canary"}, "at": [{"depth": {key: 0.123}}]})
    assert line == {"event": "x", key: MASK, "at": [{"depth": {key: MASK}}]}


def test_other_facts_are_not_changed():
    """Keys of tasks, times, error codes, hints, URLs and paths are logged unchanged."""
    facts = {
        "event": "polls_throttled",
        "task": "speaker-search/abcdef1ghij2klmno3pqr4/2f1c9d3e-1111-4222-8333-944445555666",
        "event_id": "0123456789abcdef0123456789abcdef",
        "timestamp": "2026-11-22T10:00:12.345678Z",
        "at": 1763820012.345,
        "code": "ThrottledClientException",
        "hint": "raise 'Speaker search API rate (Amazon Chime SDK, Service Quotas)', then wait +10 % longer",
        "url": "https://sqs.us-east-1.amazonaws.com/111122223333/speaker-search-tasks",
        "commit": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "path": "/usr/local/lib/python3/dist/watcher/polling",
        "none": None,
        "ok": True,
    }
    assert redact(None, "info", dict(facts)) == facts


def test_objects_are_logged_by_their_fields():
    """A dataclass and a named tuple are redacted like a mapping, bytes are logged as their length, and a cycle ends."""
    cycle = {}
    cycle["again"] = cycle
    line = redact(
        None, "info", {"seen": Observed("FAILED", "canary", {"a": 1}), "raw": b"canary", "cycle": cycle, "error": Unreadable("5xx")}
    )
    assert line["seen"] == {"status": "FAILED", "message": MASK, "result": MASK}
    watch = Watch(TaskRef("speaker-search", ("vc1", "t1")), "0" * 32, 1.0, 2.0, context='{"patient": "canary"}')
    shown = redact(None, "info", {"steps": [Step(watch, "unchanged")]})["steps"][0]
    assert (shown["reason"], shown["watch"]["context"], shown["watch"]["admitted_at"]) == ("unchanged", MASK, 1.0)
    assert "canary" not in str(shown)
    assert line["raw"] == "<6 bytes>"
    assert "<too deep>" in str(line["cycle"])
    assert line["error"] == "Unreadable: 5xx"


def test_a_line_has_time_level_and_logger(written):
    """Each JSON line has a UTC time, a level, the name of a logger, and the facts of the event."""
    structlog.get_logger("watcher.polling").warning("polls_throttled", kind="speaker-search", hint="raise the quota")
    logging.getLogger("uvicorn.error").error("went %s", "wrong")
    ours, theirs = written()
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {
        "event": "polls_throttled",
        "kind": "speaker-search",
        "hint": "raise the quota",
        "level": "warning",
        "logger": "watcher.polling",
        "message": "polls_throttled",
    }
    assert (theirs["event"], theirs["message"], theirs["level"], theirs["logger"]) == (*["went wrong"] * 2, "error", "uvicorn.error")


@pytest.mark.parametrize("name", ["botocore.endpoint", "aiohttp.client", "httpx", "uvicorn.error"])
def test_only_warnings_of_libraries_are_logged(name, written):
    """At every level, messages of libraries below a warning are not logged, because they contain headers and bodies."""
    logging.getLogger(name).info("sending it all")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in written()] == ["trouble"]


def test_credentials_that_cannot_be_renewed_are_logged_without_a_traceback(written):
    """The SDK warns of each renewal that fails; one that is mandatory is raised too, so its warning is left out."""
    for period in ("mandatory", "advisory"):
        try:
            fail_with("no")
        except Unreadable:
            text = "Refreshing temporary credentials failed during %s refresh period."
            logging.getLogger("aiobotocore.credentials").warning(text, period, exc_info=True)
    (line,) = written()
    assert "advisory" in line["event"]
    assert "exception" not in line


def test_nothing_below_the_level_is_logged():
    """The level applies to loggers of structlog and of the standard library."""
    stream = io.StringIO()
    configure(LogSettings(level="warning", format="json"), stream)
    structlog.get_logger("watcher.a").info("no")
    logging.getLogger("watcher.b").info("no")
    structlog.get_logger("watcher.a").warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_a_second_set_up_replaces_the_first(written):
    """After a second set-up each line is written once, also by loggers that were created before it."""
    log, stream = structlog.get_logger("watcher.early"), io.StringIO()
    log.info("before")
    configure(LogSettings(format="json"), stream)
    configure(LogSettings(format="json"), stream)
    log.info("after")
    assert [line["event"] for line in written()] == ["before"]
    assert [line["event"] for line in lines(stream)] == ["after"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("make_stream", "lines_are_json"), [(io.StringIO, True), (Terminal, False)])
def test_auto_writes_json_except_on_a_terminal(make_stream, lines_are_json):
    """The format `auto` is JSON, and text on a terminal; exceptions are redacted in both."""
    stream = make_stream()
    configure(LogSettings(format="auto"), stream)
    try:
        fail_with(CANARIES[PROFILE])
    except Unreadable:
        structlog.get_logger("watcher.a").exception("poll_failed", hint="look")
    text = stream.getvalue()
    assert ('"event": "poll_failed"' in text) is lines_are_json
    assert "Traceback" in text
    assert PROFILE not in text
