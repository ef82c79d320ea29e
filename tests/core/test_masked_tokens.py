"""What is shown of a message has no task token."""

from __future__ import annotations

import json

import pytest

from watcher.core.intake.masked_tokens import masked

TOKEN = "AQCEAAAAKgAAAAMAAA+/=="


@pytest.mark.parametrize("name", ["task_token", "taskToken", "TaskToken"])
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("end", ["", "}", ' "'])
def test_a_token_is_hidden_at_any_depth(name: str, depth: int, end: str) -> None:
    """Under each of its names, in JSON within JSON, and in a message that is no valid JSON; the rest is unchanged."""
    text = json.dumps({"a": 1, name: TOKEN, "b": "task_token"})
    for _ in range(depth):
        text = json.dumps({"Message": text})
    assert masked((text + end).encode()).decode() == (text + end).replace(TOKEN, "********")


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("token", [r"AQCE\/AAAA+\/==", r"AQCE\u002fAAAA\u003d\u003d", r"A\"QCE", "A\\\\QCE"])
def test_a_token_with_escaped_characters_is_hidden(token: str, depth: int) -> None:
    """Some senders escape the slash, or write other characters of a token as \\u and their number."""
    text, shown = (f'{{"task_token": "{each}", "b": "c"}}' for each in (token, "********"))
    for _ in range(depth):
        text, shown = json.dumps({"Message": text}), json.dumps({"Message": shown})
    assert masked(text.encode()).decode() == shown


def test_a_message_without_a_token_is_unchanged() -> None:
    """Bytes that are not UTF-8 too."""
    body = b'{"task": "token", "task_token": null, "x": "\xff"}'
    assert masked(body) == body


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("token", ["AQ\\/CE\\/KG", "\\u0041QCE", 'AQ\\"CE'])
def test_a_token_with_escapes_is_hidden_as_a_whole(token: str, depth: int) -> None:
    """Some programs write a slash in JSON with a backslash before it, and tokens contain slashes."""
    start, end = '{"task_token": "', '", "b": 1}'
    texts = [start + token + end, start + "********" + end]
    for _ in range(depth):
        texts = [json.dumps({"Message": text}) for text in texts]
    assert masked(texts[0].encode()).decode() == texts[1]


def test_a_token_without_an_end_is_hidden_up_to_the_last_byte() -> None:
    """A message that was cut off becomes a dead letter too."""
    assert masked(b'{"task_token": "AQCE') == b'{"task_token": "********'


def test_the_token_in_the_context_object_of_a_state_is_hidden() -> None:
    """It is read from there too."""
    text = json.dumps({"Execution": {"Input": {}}, "Task": {"Token": TOKEN}})
    assert masked(text.encode()).decode() == text.replace(TOKEN, "********")
