"""The task token of a state of AWS Step Functions reaches the one task that the state waits for, and no text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from watcher.core.intake.message_schema import message_schema
from watcher.core.intake.submissions import read
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Ignored, Submission

CATALOG = builtin_catalog()
VALIDATOR = Draft202012Validator(message_schema(CATALOG))
OWN = {"voice_connector_id": "vc-1", "speaker_search_task_id": "t-1"}
REPLY = {"SpeakerSearchTask": {"SpeakerSearchTaskId": "t-1", "CallDetails": {"VoiceConnectorId": "vc-1"}}}
TOKEN = "AAAAKgAAAAIAAAAA+/= token-of-a-state"


def found(message: Any) -> list[Submission | InvalidInput | Ignored]:
    return list(read(json.dumps(message).encode(), CATALOG, now=1_790_000_000.0))


def tokens(message: Any) -> list[str | None]:
    return [each.task_token for each in found(message) if isinstance(each, Submission)]


@pytest.mark.parametrize("name", ["task_token", "taskToken", "TaskToken"])
@pytest.mark.parametrize("task", [OWN, REPLY, REPLY["SpeakerSearchTask"]], ids=["own", "reply", "task"])
def test_a_token_may_stand_beside_the_identifiers(name: str, task: dict[str, Any]) -> None:
    """In each spelling and form, also where the message is in an envelope."""
    message = {**task, name: TOKEN}
    assert tokens(message) == tokens({"specversion": "1.0", "data": message}) == tokens({"input": message}) == [TOKEN]
    assert VALIDATOR.is_valid(message)


@pytest.mark.parametrize(
    "state",
    [
        {"input": OWN, "taskToken": TOKEN},
        {"Input": json.dumps(OWN), "TaskToken": TOKEN},
        {"input": "vc-1/t-1", "task_token": TOKEN},
        {"input": [OWN], "taskToken": TOKEN},
        {"Execution": {"Input": OWN}, "Task": {"Token": TOKEN}},
        {"search": REPLY, "taskToken": TOKEN},
    ],
)
def test_a_token_beside_an_input_belongs_to_the_only_task_in_it(state: dict[str, Any]) -> None:
    """Whatever the form of the input is, and wherever the state puts the token."""
    assert tokens(state) == tokens({"Records": [{"eventSource": "aws:sqs", "body": json.dumps(state)}]}) == [TOKEN]


def test_a_token_beside_several_tasks_is_given_to_none_of_them() -> None:
    """A token is answered once; each element of a list has its own."""
    assert tokens({"input": [OWN, OWN], "taskToken": TOKEN}) == [None, None]
    tone = {"VoiceToneAnalysisTask": {"VoiceToneAnalysisTaskId": "t-2", "CallDetails": {"VoiceConnectorId": "vc-1"}}}
    assert tokens({**REPLY, **tone, "task_token": TOKEN}) == [None, None]
    assert tokens([{**OWN, "task_token": "a"}, OWN, {**OWN, "TaskToken": "b"}]) == ["a", None, "b"]


def test_the_token_of_the_task_precedes_that_beside_it() -> None:
    """The innermost one counts, as for a trace context."""
    assert tokens({"input": {**OWN, "taskToken": "inner"}, "taskToken": "outer"}) == ["inner"]
    assert tokens({"input": {"input": OWN, "taskToken": "inner"}, "taskToken": "outer"}) == ["inner"]
    assert tokens({**OWN, "task_token": None}) == [None]


@pytest.mark.parametrize("token", [7, "", "canary\u0000", "canary" * 400, ["canary"], {"canary": 1}])
def test_an_invalid_token_is_a_reason_that_does_not_repeat_it(token: Any) -> None:
    """Beside the identifiers and beside an input."""
    for message in ({**OWN, "task_token": token}, {"input": OWN, "taskToken": token}, {**OWN, "task_token": "canary", "taskToken": token}):
        (outcome,) = found(message)
        assert isinstance(outcome, InvalidInput)
        assert outcome.reason == "field"
        assert "canary" not in str(outcome)
    assert not VALIDATOR.is_valid({**OWN, "task_token": token})


def test_a_token_is_in_no_text_of_a_submission() -> None:
    """Such as a line of a log that shows one."""
    assert TOKEN not in repr(found({**OWN, "task_token": TOKEN}))
