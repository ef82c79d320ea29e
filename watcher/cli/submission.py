"""Turns what a person submits into messages for a watcher, and checks each one with the watcher's own reading before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from watcher.adapters.aws.queue import OutgoingMessage
from watcher.core.intake.json_stream import JsonStream
from watcher.core.intake.submissions import parse_ref, read
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.model import Submission


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What applies to all messages: the kinds and the Region; and, to each task that is not a JSON message, the other fields."""

    catalog: Catalog
    kind: str
    context: Any
    deadline_s: float | None
    region: str | None
    """The configured one: a message that names another Region is invalid."""


@dataclass(frozen=True, slots=True)
class Submittable:
    """One valid message, and where it came from."""

    place: str
    message: OutgoingMessage
    submissions: tuple[Submission, ...]

    @property
    def tasks(self) -> int:
        """How many tasks it names."""
        return len(self.submissions)


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
    found = read(body, options.catalog, now=now, region=options.region)
    submissions = []
    for outcome in found:
        if isinstance(outcome, InvalidInput):
            raise outcome
        if isinstance(outcome, Submission):
            submissions.append(outcome)
    if not submissions:
        raise InvalidInput("shape", "the message names no task")
    return Submittable(place, OutgoingMessage(body.decode(), submissions[0].ref.key), tuple(submissions))


def _message(line: bytes, options: SubmitOptions) -> bytes:
    """The JSON message for a task that is named by its identifiers or by its key."""
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise InvalidInput("encoding", "not UTF-8") from None
    params = len(options.catalog[options.kind].params)
    ref = parse_ref(f"{options.kind}/{text}" if text.count("/") == params - 1 else text, options.catalog)
    names = [param.field for param in options.catalog[ref.kind].params]
    message: dict[str, Any] = {"kind": ref.kind, **dict(zip(names, ref.params, strict=True))}
    if options.context is not None:
        message["context"] = options.context
    if options.deadline_s is not None:
        message["deadline_s"] = options.deadline_s
    return json.dumps(message, separators=(",", ":")).encode()
