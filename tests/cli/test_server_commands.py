"""Commands with `--url`, against a running watcher."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, recorded
from tests.cli.running_api import READ, TOKENS, WRITE, RunningApi
from tests.cli.scripted_replies import answering
from tests.queries.recorded import CANARY, RecordedTask, dead_letter, search_result

ONE, TWO = "1111aaaa1111aaaa", "1222bbbb2222bbbb"

SAME = [
    ("tasks",),
    ("tasks", "--json"),
    ("tasks", "--open", "--limit", "1"),
    ("explain", "abc/t1"),
    ("explain", "abc/t1", "--json"),
    ("explain", "abc/t2"),
    ("explain", "voice-tone/abc/t%3A3"),
    ("explain", "abc/none"),
    ("explain", "abc/none", "--json"),
    ("dead-letters", "list"),
    ("dead-letters", "list", "--json"),
    ("dead-letters", "show", ONE[:3]),
    ("dead-letters", "show", ONE, "--json"),
    ("replicas",),
]


@pytest.fixture
def api(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    """A running watcher with three tasks and two dead letters."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    tasks = [
        RecordedTask("t1").seen("IN_PROGRESS", 30).seen("SUCCEEDED", 10, result=search_result()),
        RecordedTask("t2").seen("IN_PROGRESS", 5),
        RecordedTask("t:3", kind="voice-tone").ended("cancelled", 1),
    ]
    recorded(*tasks, dead_letters=[dead_letter(ONE, CANARY.encode()), dead_letter(TWO, b'{"a":[1]}', reason="field", detail="no id")])
    api = RunningApi()
    with api.running():
        yield api


def without_times(text: str) -> str:
    """The text without what changes from second to second."""
    text = re.sub(r'"(age_s|gap_s|lag_s|price_s|spare_gap_s|last_error)": [^,\n]+', r'"\1": …', text)
    text = re.sub(r"\d+ min( \d+ s)?|\d+(\.\d+)? s\b|, now throttled|^ +\d.*$|throttled|not polled yet", "…", text, flags=re.MULTILINE)
    return re.sub(r" {2,}", "  ", text)


@pytest.mark.parametrize("arguments", SAME, ids=" ".join)
def test_the_output_is_that_of_the_store(command: Command, api: RunningApi, arguments: tuple[str, ...]) -> None:
    """A command prints the same about the store of a configuration as about the watcher that runs on it, and exits alike."""
    stored, served = (command(*arguments, *where) for where in (("--config", "w.yaml"), ("--url", api.url)))
    assert served.code == stored.code
    if arguments == ("replicas",):
        assert "single owner" in served.err
        assert "single owner" in stored.err
        return
    assert without_times(served.out) == without_times(stored.out)
    assert without_times(served.err) == without_times(stored.err)


def test_a_submitted_task_has_an_outcome(command: Command, api: RunningApi) -> None:
    """`submit --url` says how many tasks are new, and which ones are watched already or have ended; JSON messages go unchanged."""
    message = '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "new-2", "SpeakerSearchTaskStatus": "SUCCEEDED"}'
    ended = command("submit", "abc/new-1", "abc/t1", "abc/t2", message, "--url", api.url)
    assert (ended.code, ended.out) == (0, f"Submitted 4 tasks to {api.url}, of which 2 are new.\n")
    assert "speaker-search/abc/t1: has ended" in ended.err
    assert "speaker-search/abc/t2: already watched" in ended.err
    listed = json.loads(command("tasks", "--url", api.url, "--json").out)
    assert {task["key"] for task in listed} >= {"speaker-search/abc/new-1", "speaker-search/abc/new-2"}
    again = command("submit", "abc/new-1", "--url", api.url)
    assert (again.code, again.out) == (0, f"Submitted 1 task to {api.url}, of which 0 are new.\n")


def test_more_tasks_than_one_request_holds_are_submitted(command: Command, api: RunningApi) -> None:
    """`submit --url` divides many messages among several requests."""
    Path("many.txt").write_text("".join(f"abc/many-{n}\n" for n in range(501)), encoding="utf-8")
    ended = command("submit", "--file", "many.txt", "--url", api.url)
    assert (ended.code, ended.out, ended.err) == (0, f"Submitted 501 tasks to {api.url}, of which 501 are new.\n", "")


def test_nothing_is_submitted_if_a_message_is_invalid(command: Command, api: RunningApi) -> None:
    """`submit --url` checks all messages before it sends the first one, and `--dry-run` sends none."""
    assert command("submit", "abc/new", "{}", "--url", api.url).code == 64
    assert command("submit", "abc/new", "--dry-run", "--url", api.url).code == 0
    assert "abc/new" not in command("tasks", "--url", api.url).out


def test_dead_letters_are_retried_and_purged(command: Command, api: RunningApi) -> None:
    """`dead-letters retry` and `purge` work by prefixes and by --all; an id that names none, or several, exits with 64."""
    where = ("--url", api.url)
    assert command("dead-letters", "retry", ONE[:4], *where).out.startswith("1 dead letter marked")
    for unknown, text in (("9", "no dead letter has this id"), ("1", "2 dead letters have an id that begins with this")):
        for name in ("show", "retry", "purge"):
            ended = command("dead-letters", name, unknown, *where)
            assert (ended.code, text in ended.err) == (64, True), ended.err
    assert command("dead-letters", "purge", ONE, *where).out == "Erased 1 dead letter.\n"
    assert command("dead-letters", "retry", "--all", *where).out.startswith("1 dead letter marked")
    assert command("dead-letters", "purge", "--all", *where).code == 64, "it cannot ask"
    assert command("dead-letters", "purge", "--all", "--yes", *where).out == "Erased 1 dead letter.\n"
    assert command("dead-letters", "list", *where, "--json").out == "[]\n"


def test_the_environment_names_the_watcher(command: Command, api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """WATCHER_URL stands for --url, before watcher.yaml and WATCHER_CONFIG; a configuration that is given has precedence over it."""
    monkeypatch.setenv("WATCHER_URL", f"{api.url}/")
    monkeypatch.setenv("WATCHER_CONFIG", "missing.yaml")
    assert "abc/t1" in command("tasks").out
    Path("empty.yaml").write_text(Path("w.yaml").read_text().replace("w.db", "none.db"), encoding="utf-8")
    assert command("tasks", "--config", "empty.yaml").code == 74
    assert command("tasks", "empty.yaml").code == 74


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("tasks", "--url", "http://x", "--config", "w.yaml"), "exclude each other"),
        (("submit", "abc/t1", "--url", "http://x", "--queue-url", "https://sqs.us-east-1.amazonaws.com/1/q"), "exclude each other"),
        (("tasks", "--token-file", "token", "w.yaml"), "needs --url"),
        (("tasks", "--url", "watcher.example.com"), "expected a URL"),
        (("tasks", "--url", "http://user:secret@127.0.0.1:1"), "must not contain credentials"),
        (("tasks", "--url", "http://127.0.0.1:1?token=secret"), "must not contain credentials"),
        (("tasks", "--url", "http://127.0.0.1:99999"), "expected a URL"),
        (("tasks", "--url", "http://127.0.0.1:1", "--token-file", "missing"), "missing cannot be read"),
        (("tasks", "--url", "http://127.0.0.1:1", "--token-file", "empty"), "has no token"),
        (("tasks", "--url", "http://127.0.0.1:1", "--token-file", "two-lines"), "has no token"),
    ],
)
def test_wrong_use_is_a_usage_error(command: Command, arguments: tuple[str, ...], text: str) -> None:
    """A URL, a token file, or a combination of options that cannot be used exits with 64, and shows no secret."""
    Path("empty").touch()
    Path("two-lines").write_text("secret one\nsecret two\n", encoding="utf-8")
    ended = command(*arguments)
    assert (ended.code, ended.out) == (64, "")
    assert text in ended.err
    assert "secret" not in ended.err


def test_tokens_decide_what_a_command_may_do(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token, with a wrong one, or with one that only reads, the command exits with 78 and names --token-file, never the token."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    recorded(dead_letters=[dead_letter(ONE)])
    for name, token in (("read", READ), ("write", f"{WRITE}\n"), ("wrong", "wrong-token-of-the-tests")):
        (here / name).write_text(token, encoding="utf-8")
    api = RunningApi(*TOKENS)
    with api.running():
        tried = [command("tasks", "--url", api.url), command("tasks", "--url", api.url, "--token-file", "wrong")]
        tried.append(command("dead-letters", "purge", "--all", "--yes", "--url", api.url, "--token-file", "read"))
        assert command("tasks", "--url", api.url, "--token-file", "read").code == 0
        monkeypatch.setenv("WATCHER_TOKEN_FILE", "write")
        assert command("dead-letters", "purge", "--all", "--yes", "--url", api.url).code == 0
    assert [ended.code for ended in tried] == [78, 78, 78]
    assert all("--token-file" in ended.err and "of-the-tests" not in ended.err for ended in tried), tried


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "text"),
    [
        (503, {"Retry_After": "7"}, b"", 75, "Try again in 7 s"),
        (500, {}, b"oops", 69, "log of the watcher"),
        (404, {}, b"<html>", 69, "The reply is not from a watcher"),
        (200, {}, b"<html>", 69, "The reply is not from a watcher"),
        (200, {}, b"[]", 69, "The reply is not from a watcher"),
        (200, {}, b'{"tasks": [{"key": 7}]}', 69, "an unknown shape"),
        (422, {"Content_Type": "application/problem+json"}, b'{"detail": "wrong\\u001b[31m."}', 64, "wrong [31m"),
        (410, {"Content_Type": "application/problem+json"}, b'{"detail": "too old"}', 64, "--after"),
    ],
)
def test_other_replies_say_what_to_do(command: Command, status: int, headers: dict[str, str], body: bytes, code: int, text: str) -> None:
    """Each kind of reply that is no success has an exit code, and a message with the address and with what to do."""
    with answering(status, body, **headers) as replies:
        ended = command("tasks", "--url", replies.url)
    assert (ended.code, ended.out) == (code, "")
    assert replies.url in ended.err
    assert text in ended.err
    assert "\x1b" not in ended.err


def test_a_redirect_is_not_followed(command: Command) -> None:
    """The host to which a reply redirects gets no request, and so no token."""
    Path("token").write_text(WRITE, encoding="utf-8")
    with answering(200, b'{"tasks": []}') as other, answering(307, Location=f"{other.url}/v1/tasks") as first:
        ended = command("tasks", "--url", first.url, "--token-file", "token")
    assert ended.code == 78
    assert "redirects to http://127.0.0.1" in ended.err
    assert [request.get("authorization") for request in first.requests] == [f"Bearer {WRITE}"]
    assert other.requests == []


def test_a_watcher_that_does_not_answer_is_unavailable(command: Command) -> None:
    """A refused connection exits with 69, and TLS with a server that has none with 78; both name the address."""
    with answering(200) as replies:  # no TLS
        secure = replies.url.replace("http:", "https:")
        tls = command("tasks", "--url", secure)
    refused = command("tasks", "--url", replies.url)
    assert (refused.code, tls.code) == (69, 78)
    assert f"{replies.url}: ECONNREFUSED. Check --url" in refused.err
    assert f"{secure}: WRONG_VERSION_NUMBER. Check --url" in tls.err


def test_a_token_in_plain_text_has_a_warning(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token for http:// on another machine is sent with a warning; on this machine, and without a token, there is none."""
    Path("token").write_text(WRITE, encoding="utf-8")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with answering(200, b'{"tasks": [], "next": null}') as replies:
        monkeypatch.setenv("http_proxy", replies.url)
        elsewhere = command("tasks", "--url", "http://watcher.invalid", "--token-file", "token")
        without = command("tasks", "--url", "http://watcher.invalid")
        here = command("tasks", "--url", replies.url, "--token-file", "token")
    assert [each.code for each in (elsewhere, without, here)] == [0, 0, 0]
    assert "Warning: the token is sent to watcher.invalid in plain text" in elsewhere.err
    assert "Warning" not in without.err + here.err
    assert replies.requests[2]["host"] in replies.url, "no proxy for this machine"
