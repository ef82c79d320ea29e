"""Lines into messages that a watcher will take, judged by the watcher's own reading before anything is sent."""

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
    """What the options say about every task that is named as VC/TASK, and the Region about all."""

    catalog: Catalog
    kind: str
    context: Any
    deadline_s: float | None
    region: str | None
    """The configured one: a message for another is not for this watcher."""


@dataclass(frozen=True, slots=True)
class Submittable:
    """One message that is good to go, and where it stood."""

    place: str
    message: OutgoingMessage
    tasks: int


def numbered(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that are neither blank nor a comment, each with its place."""
    for n, line in enumerate(data.removeprefix(BOM).split(b"\n"), start=1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            yield f"{name}:{n}", line.removesuffix(b"\r")


def read_all(lines: Iterator[tuple[str, bytes]], now: float, options: SubmitOptions) -> tuple[list[Submittable], list[str]]:
    """What can be sent, and a sentence for each line that cannot."""
    entries: list[Submittable] = []
    bad: list[str] = []
    for place, line in lines:
        try:
            entries.append(_entry(place, line, now, options))
        except InvalidInput as error:
            bad.append(f"{place}: {error}")
    if not entries and not bad:
        bad.append("no tasks: every line is empty or a comment")
    return entries, bad


def _entry(place: str, line: bytes, now: float, options: SubmitOptions) -> Submittable:
    """Raises InvalidInput for what the watcher would reject."""
    plain = line.lstrip()[:1] not in (b"{", b"[", b'"')
    if not plain and (options.context is not None or options.deadline_s is not None):
        raise InvalidInput("field", "--context and --deadline are for VC/TASK; a JSON message says its own context and deadline_s")
    body = _message(line, options) if plain else line
    found = read(body, options.catalog, now=now, region=options.region)
    for outcome in found:
        if isinstance(outcome, InvalidInput):
            raise outcome
    if not found:
        raise InvalidInput("shape", "it names no task")
    keys = [outcome.ref.key for outcome in found if not isinstance(outcome, InvalidInput)]
    return Submittable(place, OutgoingMessage(body.decode(), keys[0]), len(keys))


def _message(line: bytes, options: SubmitOptions) -> bytes:
    """`VC/TASK` in the words of a message."""
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise InvalidInput("encoding", "not UTF-8") from None
    ref = parse_ref(f"{options.kind}/{text}" if text.count("/") == 1 else text, options.catalog)
    names = [param.field for param in options.catalog[ref.kind].params]
    message: dict[str, Any] = {"kind": ref.kind, **dict(zip(names, ref.params, strict=True))}
    if options.context is not None:
        message["context"] = options.context
    if options.deadline_s is not None:
        message["deadline_s"] = options.deadline_s
    return json.dumps(message, separators=(",", ":")).encode()
