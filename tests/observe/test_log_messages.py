"""Each line of the log carries a sentence for a person, and commands in hints can be pasted."""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
from pathlib import Path

import pytest
import structlog

from tests.observe.log_calls import LogCall, log_calls
from tests.pages import OPERATING
from watcher.observe.log_messages import MESSAGES, message_of, placeholders
from watcher.observe.logs import LogSettings, configure
from watcher.observe.redaction import redact

CALLS = log_calls()


def logged(config: Path | None = None) -> tuple[io.StringIO, structlog.stdlib.BoundLogger]:
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream, config=config)
    return stream, structlog.get_logger("watcher.test")


def last_line(stream: io.StringIO) -> dict[str, str]:
    line: dict[str, str] = [json.loads(line) for line in stream.getvalue().splitlines() if '"watcher.' in line or "botocore" in line][-1]
    return line


def test_log_calls_are_found() -> None:
    """The search of these tests finds calls in several modules."""
    assert len({call.place.partition(":")[0] for call in CALLS}) > 8


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_each_log_call_has_a_sentence(call: LogCall) -> None:
    """Each event that the code logs has a sentence, and each call has the facts that the sentence repeats."""
    assert call.event in MESSAGES, f"{call.place}: add a sentence for {call.event} to watcher/observe/log_messages.py"
    assert call.has_more_facts or placeholders(MESSAGES[call.event]) <= call.facts


def test_no_fact_is_hidden_by_its_name() -> None:
    """A number or a name under a fact such as `tokens` would be masked as a secret, and a fact that is never visible says nothing."""
    facts = {fact for call in CALLS for fact in call.facts} | {fact for text in MESSAGES.values() for fact in placeholders(text)}
    assert {fact for fact in facts if redact(None, "", {fact: 3}) != {fact: 3}} == set()


@pytest.mark.parametrize("text", MESSAGES.values())
def test_a_sentence_is_a_sentence(text: str) -> None:
    """A sentence begins with a capital letter or a fact, and ends with a full stop."""
    assert text[0].isupper() or text[0] == "{"
    assert text.endswith(".")


def test_a_json_line_has_name_facts_and_sentence() -> None:
    """A JSON line keeps the name of the event and its facts, and the sentence is an additional member."""
    stream, log = logged()
    log.warning("delivery_failed", sink="crm", event_id="e-77", code="ECONNRESET", retry_in_s=2.5)
    line = last_line(stream)
    assert (line["event"], line["sink"], line["retry_in_s"]) == ("delivery_failed", "crm", 2.5)
    assert line["message"] == "The sink crm did not accept event e-77 (ECONNRESET); it is sent again in 2.5 s."


def test_a_sentence_repeats_redacted_facts() -> None:
    """A secret in a fact is masked in the sentence too."""
    stream, log = logged()
    log.warning("input_rejected", source="q", reason="field", detail="token=hunter2canary", dead_letter="ab")
    assert "hunter2canary" not in stream.getvalue()
    assert "dead letter ab" in last_line(stream)["message"]


def test_a_missing_fact_and_a_foreign_line_are_no_error() -> None:
    """A line without a fact of its sentence is still written, and a line of a library has its own text as the sentence."""
    stream, log = logged()
    log.info("source_exhausted")
    assert last_line(stream)["message"] == "The source ? is read to its end."
    logging.getLogger("botocore.test").warning("retries: %d", 3)
    assert last_line(stream)["message"] == "retries: 3"
    assert message_of({"event": "started", "open_watches": 0, "sources": ["a", "b"]}).endswith("reads from a, b; open watches: 0.")


@pytest.mark.parametrize("file", ["watcher.yaml", "my files/it's.yaml"])
@pytest.mark.parametrize("command", ["dead-letters show ab-12", "dead-letters list", "explain vc/t", "config check", "tasks", "doctor"])
def test_a_command_in_a_hint_can_be_pasted(file: str, command: str) -> None:
    """A command in a hint names the configuration of the process by its absolute path, quoted for a shell."""
    stream, log = logged(Path(file))
    log.warning("input_rejected", hint=f"run this: watcher {command}; then retry")
    pasted = last_line(stream)["hint"].removeprefix("run this: ").removesuffix("; then retry")
    words = shlex.split(pasted)
    at = words.index("--config")
    assert words[at + 1] == str(Path.cwd() / file)
    assert [*words[:at], *words[at + 2 :]] == ["watcher", *command.split()]


def test_other_texts_in_a_hint_stay() -> None:
    """A hint without a command stays as it is, and so does a command where the process has no configuration file."""
    stream, log = logged(Path("watcher.yaml"))
    for hint in ("a watcher runs on it", "start the watcher again", "the watcher is doctoring nothing", "watcher simulate"):
        log.warning("input_rejected", hint=hint)
        assert last_line(stream)["hint"] == hint
    stream, log = logged()
    log.warning("input_rejected", hint="watcher dead-letters list")
    assert last_line(stream)["hint"] == "watcher dead-letters list"


def test_each_event_of_the_operating_page_has_a_sentence() -> None:
    """The tables of docs/operating.md list exactly the log events that have a sentence."""
    section = OPERATING.read_text().split("\n## The log\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == set(MESSAGES)


def test_one_reads_as_well_as_two() -> None:
    """No sentence has a noun after a number, which would have to be singular after 1."""
    numbers = "open_watches|in_flight|events|heartbeats|known|tasks|undelivered|watches"
    assert [text for text in MESSAGES.values() if re.search(rf"\{{({numbers})\}} \w", text)] == []
