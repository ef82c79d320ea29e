"""A word in the place of a kind: the similar kind that an error or a warning names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from watcher.core.intake.kind_names import MAX_NAME, near_kind, unknown_kind
from watcher.core.intake.references import misread_kind, parse_ref
from watcher.core.intake.submissions import read
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog

CATALOG = builtin_catalog()
CONNECTOR = "abcdefghij0123456789a"
UUID = "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("transcriptio", "transcription"),
        ("Batch_Jobb", "batch-job"),
        ("SpeakerSearch", "speaker-search"),
        ("x-job", None),
        ("", None),
        (5, None),
        ("batch-job" * MAX_NAME, None),
    ],
)
def test_a_similar_kind_has_the_same_first_letter(word: Any, near: str | None) -> None:
    """Whatever the word is spelled like; a word that is too long, or no string, is similar to none."""
    assert near_kind(word, CATALOG) == near


def test_the_error_about_an_unknown_kind_is_short() -> None:
    """It names the similar kind only, and the command that lists all."""
    assert unknown_kind("transcriptio", CATALOG).detail == "unknown kind; did you mean transcription? `watcher kinds list` shows all"
    assert unknown_kind("nope", CATALOG).detail == "unknown kind; `watcher kinds list` shows all"


@pytest.mark.parametrize("given", [{"kind": "batch-jobb", "job_id": "a"}, "batch-jobb/a/b", "eu/batch-jobb/arn:aws:batch:::job/a"])
def test_a_message_of_an_unknown_kind_names_the_similar_one(given: Any) -> None:
    """In every form of message that names a kind, and without what was read."""
    (outcome,) = read(json.dumps(given).encode(), CATALOG, now=0.0)
    assert isinstance(outcome, InvalidInput)
    assert (outcome.reason, "did you mean batch-job?" in outcome.detail, "jobb" in outcome.detail) == ("kind", True, False)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("batch-jobb/abc", "did you mean batch-job?"),
        (" transcriptio/abc\n", "did you mean transcription?"),
        ("cloudfront-distribution/E1", "`watcher kinds list` shows all kinds"),
        ("x-y/abc", "`watcher kinds list` shows all kinds"),
    ],
)
def test_a_reference_with_what_looks_like_a_kind_has_a_warning(text: str, hint: str) -> None:
    """It is a task of the default kind all the same."""
    warning = misread_kind(text, CATALOG)
    first = text.split("/")[0].strip()
    assert warning is not None
    assert warning.startswith(f'"{first}" is not a kind, so this is read as VoiceConnectorId/SpeakerSearchTaskId; {hint}')
    assert parse_ref(text, CATALOG).key == f"speaker-search/{first}/{text.split('/')[1].strip()}"


@pytest.mark.parametrize(
    "text",
    [
        f"{CONNECTOR}/{UUID}",
        f"{CONNECTOR}b/t1",
        f"{UUID}/t1",
        "abc/t1",
        "myConnector/failed-1",
        "batch-job/abc",
        "voice-tone/abc/t1",
        "eu/batch-job/abc",
        "arn:aws:batch:us-east-1:111122223333:job/abc",
        "abc",
        '{"kind": "batch-jobb", "path": "a/b"}',
    ],
)
def test_other_references_have_no_warning(text: str) -> None:
    """The ids of voice connectors as the service makes them, other ids without a dash, keys of known kinds, ARNs, and JSON."""
    assert misread_kind(text, CATALOG) is None
