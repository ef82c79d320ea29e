"""Turns what a person submits into messages for a watcher, and checks each one with the watcher's own reading before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from watcher.adapters.aws.queue import OutgoingMessage
from watcher.cli.tables import duration
from watcher.core.intake.json_stream import JsonStream
from watcher.core.intake.members import MAX_DEADLINE_S
from watcher.core.intake.references import is_key_or_arn, parse_ref
from watcher.core.intake.scopes import Targets
from watcher.core.intake.submissions import read
from watcher.core.intake.task_arns import PREFIX
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.model import DEFAULT_TARGET, Submission


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What applies to all messages: the kinds and the targets; and, to each task that is not a JSON message, the other fields."""

    catalog: Catalog
    kind: str
    context: Any
    deadline_s: float | None
    targets: Targets
    """Those of the configuration: a message that names another one, or another Region, is invalid."""
    watch_notified: bool | None = None
    """Whether the source that reads the messages starts watches from notifications of AWS; None if that is unknown."""


@dataclass(frozen=True, slots=True)
class Submittable:
    """One valid message, and where it came from."""

    place: str
    message: OutgoingMessage
    submissions: tuple[Submission, ...]
    watch_notified: bool | None

    @property
    def tasks(self) -> int:
        """How many tasks it names that are watched from now on, as far as that is known."""
        return sum(self.watch_notified is not False or not each.poll_now for each in self.submissions)

    def note(self, submission: Submission) -> str | None:
        """What the watcher does otherwise than the sender may expect, if anything."""
        if submission.deadline_reduced:
            return f"the deadline is reduced to {duration(MAX_DEADLINE_S)}, which is the longest one"
        if not submission.poll_now or self.watch_notified:
            return None
        if self.watch_notified is None:
            return "a notification: it starts a watch only if the source has watch_notified: true"
        return "a notification: it starts no watch with this configuration, because the source does not have watch_notified: true"


def numbered_messages(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the messages of a file as the source `lines` reads them, each with the place of its first line."""
    stream = JsonStream()
    lines = (found for line in data.split(b"\n") for found in stream.add(line))
    return ((f"{name}:{number}", body) for number, body in chain(lines, stream.end()))


def read_messages(messages: Iterator[tuple[str, bytes]], now: float, options: SubmitOptions) -> tuple[list[Submittable], list[str]]:
    """Return the valid messages, and an error text for each invalid one. `now` is seconds since the epoch."""
    valid: list[Submittable] = []
    errors: list[str] = []
    for place, body in messages:
        try:
            valid.append(_read_message(place, body, now, options))
        except InvalidInput as error:
            errors.append(f"{place}: {error}")
    if not valid and not errors:
        errors.append("no tasks: every line is empty or a comment")
    return valid, errors


def _read_message(place: str, given: bytes, now: float, options: SubmitOptions) -> Submittable:
    """Raises InvalidInput for a message that the watcher would reject or ignore."""
    is_json = given.lstrip()[:1] in (b"{", b"[", b'"')
    if is_json and (options.context is not None or options.deadline_s is not None):
        raise InvalidInput("field", "--context and --deadline do not apply to a JSON message; set context and deadline_s in the message")
    body = given if is_json else _message(given, options)
    targets = options.targets
    notified = bool(options.watch_notified)
    found = read(body, options.catalog, now=now, scopes=targets.scopes, other_targets=targets.others, watch_notified=notified)
    submissions = []
    for outcome in found:
        if isinstance(outcome, InvalidInput):
            raise outcome
        if isinstance(outcome, Submission):
            submissions.append(outcome)
    if not submissions:
        raise InvalidInput("shape", "the message names no task")
    return Submittable(place, OutgoingMessage(body.decode(), submissions[0].ref.key), tuple(submissions), options.watch_notified)


def _named_task(text: str, options: SubmitOptions) -> dict[str, Any]:
    """The members that name a task. An ARN stays one: the watcher finds the target by it."""
    params = len(options.catalog[options.kind].params)
    needs_kind = text.count("/") == params - 1 and not is_key_or_arn(text, options.catalog)
    ref = parse_ref(f"{options.kind}/{text}" if needs_kind else text, options.catalog, options.targets)
    if text.startswith(PREFIX):
        return {"kind": ref.kind, "arn": text}
    target = {} if ref.target == DEFAULT_TARGET else {"target": ref.target}
    names = [param.field for param in options.catalog[ref.kind].params]
    return {"kind": ref.kind, **target, **dict(zip(names, ref.params, strict=True))}


def _message(line: bytes, options: SubmitOptions) -> bytes:
    """The JSON message for a task that is named by its identifiers or by its key."""
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise InvalidInput("encoding", "not UTF-8") from None
    message = _named_task(text, options)
    if options.context is not None:
        message["context"] = options.context
    if options.deadline_s is not None:
        message["deadline_s"] = options.deadline_s
    return json.dumps(message, separators=(",", ":")).encode()
