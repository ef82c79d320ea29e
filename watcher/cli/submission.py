"""Turns lines into messages for a watcher, and checks each one with the watcher's own reading before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from watcher.adapters.aws.queue import OutgoingMessage
from watcher.core.intake.submissions import parse_ref, read
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """What applies to all lines: the kinds and the Region; and, to each task that is not a JSON message, the other fields."""

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
    tasks: int


def numbered_lines(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the lines of a file, each with its place, except for empty lines and comments."""
    for n, line in enumerate(data.removeprefix(BOM).split(b"\n"), start=1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            yield f"{name}:{n}", line.removesuffix(b"\r")


def read_lines(lines: Iterator[tuple[str, bytes]], now: float, options: SubmitOptions) -> tuple[list[Submittable], list[str]]:
    """Return the valid messages, and an error text for each invalid line. `now` is seconds since the epoch."""
    valid: list[Submittable] = []
    errors: list[str] = []
    for place, line in lines:
        try:
            valid.append(_read_line(place, line, now, options))
        except InvalidInput as error:
            errors.append(f"{place}: {error}")
    if not valid and not errors:
        errors.append("no tasks: every line is empty or a comment")
    return valid, errors


def _read_line(place: str, line: bytes, now: float, options: SubmitOptions) -> Submittable:
    """Raises InvalidInput for a line that the watcher would reject."""
    is_json = line.lstrip()[:1] in (b"{", b"[", b'"')
    if is_json and (options.context is not None or options.deadline_s is not None):
        raise InvalidInput("field", "--context and --deadline do not apply to a JSON message; set context and deadline_s in the message")
    body = line if is_json else _message(line, options)
    found = read(body, options.catalog, now=now, region=options.region)
    keys = []
    for outcome in found:
        if isinstance(outcome, InvalidInput):
            raise outcome
        keys.append(outcome.ref.key)
    if not keys:
        raise InvalidInput("shape", "the message names no task")
    return Submittable(place, OutgoingMessage(body.decode(), keys[0]), len(keys))


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
