"""Reads an input message: the tasks that it requests to watch, or the reason why it names none.

A message never chooses where calls or events go: it only names tasks. Members that would choose (`FORBIDDEN_MEMBERS`)
are ignored and counted. No error text repeats what was read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import unquote

from watcher.core.intake.envelopes import decode_message, unwrap
from watcher.core.intake.members import MAX_DEADLINE_S, check_scope, check_version, context_of, deadline_of
from watcher.core.intake.observations import has_status, observation_of
from watcher.core.intake.strict_json import JSON_SPACE, MAX_BODY, text_of
from watcher.core.intake.task_objects import as_the_api_spells, bare_values, objects_inside, pasted_kinds, pasted_task, spellings, value_of
from watcher.core.intake.unwrapped import Unwrapped
from watcher.core.trace_context import of_members
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Param
from watcher.model import DEFAULT_TARGET, Ignored, Submission, TaskRef

REASONS = frozenset(
    {"empty", "parse", "shape", "encoding", "depth", "duplicate_key", "number", "size", "field", "id", "kind", "version", "scope"}
)
"""Why an input names no task: the word in the dead letter, the log and the metric."""

MAX_BATCH = 5000
"""Tasks in one message. 256 KiB hold fewer valid ones; the limit bounds the work for a list of garbage."""
FORBIDDEN_MEMBERS = frozenset({"endpoint", "endpoint_url", "profile", "queue_url", "role_arn", "sink", "sinks", "topic_arn", "webhook_url"})
"""Members that would choose where calls or events go, or with whose permissions."""

_FORM = frozenset({"empty", "parse", "shape", "field"})
"""Reasons for which the form of a message is wrong: their texts show a good message."""
_FLAT = {name.replace("_", ""): name for name in FORBIDDEN_MEMBERS}


def read(
    body: bytes,
    catalog: Catalog,
    *,
    now: float,
    region: str | None = None,
    plain: bool = False,
    watch_notified: bool = False,
    max_body: int = MAX_BODY,
) -> Sequence[Submission | InvalidInput | Ignored]:
    """Return an entry for each task that a message names, and for each part that requires no action, in their order. Never raises.

    `now` is in seconds since the epoch. `region` is the configured one. `plain` reads all that is not JSON as a reference
    (`parse_ref`); else only what looks like one. `watch_notified`: a notification of AWS is a submission. `max_body` is in bytes.
    """
    try:
        text = text_of(body, max_body)
        if plain and text.lstrip(JSON_SPACE)[0] not in '{["':
            return [Submission(parse_ref(text, catalog))]
        value = decode_message(text)
    except InvalidInput as error:
        return [_for_a_person(error, Unwrapped(""), catalog)]
    reader = _Reader(catalog, now, region, watch_notified)
    found = (outcome for element in unwrap(value, catalog) for outcome in reader.outcomes(element))
    outcomes = list(islice(found, MAX_BATCH + 1))
    if len(outcomes) > MAX_BATCH:
        return [InvalidInput("size", f"the message names more than {MAX_BATCH} tasks; split it")]
    return outcomes


def parse_ref(text: str, catalog: Catalog) -> TaskRef:
    """Return the task that a reference names. Raises InvalidInput: shape, kind, scope, field, id.

    A reference is the identifiers of the default kind, or any key, joined by `/`. Each part may be percent-encoded.
    """
    parts = [unquote(part) for part in text.strip(JSON_SPACE).split("/")]
    target = parts.pop(0) if _is_key(parts[1:], catalog) else DEFAULT_TARGET
    check_scope({"target": target}, None)
    kind = catalog[parts.pop(0)] if _is_key(parts, catalog) else catalog.default
    if len(parts) == len(kind.params) + 1:
        raise _unknown_kind(catalog)
    if len(parts) != len(kind.params):
        names = "/".join(param.name for param in kind.params)
        raise InvalidInput("shape", f"expected {names}, or a key, which begins with the kind")
    return TaskRef(kind.name, tuple(_valid(param, part) for param, part in zip(kind.params, parts, strict=True)))


def with_trace(submission: Submission, trace: str | None) -> Submission:
    """Return the submission with this trace context, unless it already has one. `trace` is that of its envelope or message."""
    return submission if trace is None or submission.trace is not None else replace(submission, trace=trace)


def steering_members(body: bytes, catalog: Catalog) -> Sequence[str]:
    """Return the `FORBIDDEN_MEMBERS` of a message, in any spelling, each as often as it occurs. Never raises."""
    try:
        found = list(islice(unwrap(decode_message(text_of(body)), catalog), MAX_BATCH))
    except InvalidInput:
        return ()  # `read` reports it
    names = [_flat(name) for element in found if isinstance(element.content, Mapping) for name in element.content]
    return [_FLAT[name] for name in names if name in _FLAT]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads elements without envelopes. The fields are the arguments of `read`."""

    catalog: Catalog
    now: float
    region: str | None
    watch_notified: bool

    def outcomes(self, element: Unwrapped) -> Iterator[Submission | InvalidInput | Ignored]:
        """One outcome for each task in the element."""
        content = element.content
        if isinstance(content, InvalidInput):
            yield _for_a_person(content, element, self.catalog)
        elif isinstance(content, Ignored):
            yield content
        elif isinstance(content, str):
            yield self._outcome(element, lambda: Submission(parse_ref(content, self.catalog)))
        elif element.notified is not None:
            yield self._outcome(element, partial(self._notification, element, content, element.notified))
        elif element.started is not None:
            yield self._outcome(element, partial(self._recorded, element, content, element.started))
        else:
            for kind in (*pasted_kinds(content, self.catalog),) or (None,):
                yield self._outcome(element, partial(self._submission, content, kind))

    def _outcome(self, element: Unwrapped, read_one: Callable[[], Submission | Ignored]) -> Submission | InvalidInput | Ignored:
        try:
            found = read_one()
        except InvalidInput as error:
            return _for_a_person(error, element, self.catalog)
        return with_trace(found, element.trace) if isinstance(found, Submission) else found

    def _submission(self, message: Mapping[str, Any], pasted: Kind | None) -> Submission:
        """`pasted` is the kind whose reply is part of the message."""
        check_version(message)
        check_scope(message, self.region)
        kind = _kind(message, self.catalog, pasted)
        task, values = _task_of(message, kind, pasted)
        ref = TaskRef(kind.name, tuple(_valid(param, value) for param, value in zip(kind.params, values, strict=True)))
        context, deadline = context_of(message.get("context")), deadline_of(message, self.now)
        observation = observation_of(kind, task, self.now)
        look_now = observation is None and has_status(kind, task)
        submission = Submission(ref, context, deadline, observation=observation, look_now=look_now, trace=of_members(message))
        if deadline is not None and deadline > MAX_DEADLINE_S:
            return replace(submission, deadline_s=MAX_DEADLINE_S, deadline_reduced=True)
        return submission

    def _recorded(self, element: Unwrapped, reply: Mapping[str, Any], kind: Kind) -> Submission:
        """The task that a recorded call started."""
        self._check_region(element)
        if kind not in pasted_kinds(reply, self.catalog):
            raise InvalidInput("shape", f"the responseElements have no {kind.reply.task.text}")
        return self._submission(reply, kind)

    def _notification(self, element: Unwrapped, detail: Mapping[str, Any], kind: Kind) -> Submission | Ignored:
        """AWS also announces tasks that this kind's call cannot read: those of a media pipeline have no voice connector."""
        own_id = kind.notifications.id if kind.notifications else None
        names = [spellings(param) for param in kind.params]
        if own_id is not None:
            names[-1] = (own_id, *names[-1])
        values = [value_of([detail], spelled) for spelled in names]
        if any(value is None for value in values):
            return Ignored(f"notification without the identifiers of a {kind.name} task")
        ids = tuple(_valid(param, value) for param, value in zip(kind.params, values, strict=True))
        if self.watch_notified:
            self._check_region(element)
        return Submission(TaskRef(kind.name, ids), poll_now=True)

    def _check_region(self, element: Unwrapped) -> None:
        if self.region is not None:
            check_scope({"region": element.region}, self.region)


def _task_of(message: Mapping[str, Any], kind: Kind, pasted: Kind | None) -> tuple[Mapping[str, Any], Sequence[Any]]:
    """The task object of a message, as the API spells it, and the identifiers in the message. Raises InvalidInput."""
    if pasted is None:
        return as_the_api_spells(message, kind), bare_values(message, kind)
    task = pasted_task(message, pasted)
    if not isinstance(task, Mapping):
        raise InvalidInput("shape", "the task in the message is not an object")
    objects = [message, task, *objects_inside(task)]
    return task, [value_of(objects, spellings(param)) for param in kind.params]


def _kind(message: Mapping[str, Any], catalog: Catalog, pasted: Kind | None) -> Kind:
    named = message.get("kind")
    if named is not None:
        kind = catalog.get(named) if isinstance(named, str) else None
        if kind is None:
            raise _unknown_kind(catalog)
        if pasted not in (None, kind):
            raise InvalidInput("kind", "the kind does not match the task in the message")
        return kind
    if pasted is not None:
        return pasted
    flat = (kind for kind in catalog if all(value_of([message], spellings(param)) is not None for param in kind.params))
    nested = (kind for kind in catalog if None not in bare_values(message, kind))
    return next(flat, None) or next(nested, catalog.default)


def _unknown_kind(catalog: Catalog) -> InvalidInput:
    return InvalidInput("kind", f"the kind is unknown; use one of {', '.join(catalog.kinds)}")


def _is_key(parts: Sequence[str], catalog: Catalog) -> bool:
    """Whether these are the name of a kind and as many identifiers as the kind has."""
    return bool(parts) and parts[0] in catalog and len(parts) == 1 + len(catalog[parts[0]].params)


def _valid(param: Param, value: Any) -> str:
    """Return a value that is safe in a request. Identifiers become part of a URL, and the SDK does not check them."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("field", f"{param.name} is missing, blank, or not a string")
    if not param.pattern.fullmatch(value) or ".." in value:
        raise InvalidInput("id", f"{param.name} does not have the form of such an identifier")
    return value


def _for_a_person(error: InvalidInput, element: Unwrapped, catalog: Catalog) -> InvalidInput:
    """The error with its place, the envelopes that were recognized, and a good message. Without a traceback, which would keep the
    whole body in memory for as long as the error exists."""
    inside = f" (in {' in '.join(reversed(element.envelopes))})" if element.envelopes else ""
    good = f"; a good message: {good_message(element.started or catalog.default)}" if error.reason in _FORM else ""
    return InvalidInput(error.reason, element.place + error.detail + inside + good)


def good_message(kind: Kind) -> str:
    """The shortest message that names a task of this kind, as JSON."""
    return json.dumps({"kind": kind.name, **{param.field: param.example for param in kind.params}})


def _flat(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
