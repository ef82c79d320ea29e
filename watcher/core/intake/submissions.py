"""Reads an input message: the tasks that it requests to watch, or the reason why it names none.

A message never chooses where calls or events go: it only names tasks. Members that would choose (`FORBIDDEN_MEMBERS`)
are ignored and counted. No error text repeats what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import unquote

from watcher.core.intake.envelopes import Unwrapped, unwrap
from watcher.core.intake.strict_json import JSON_SPACE, MAX_BODY, canonical, decode, decode_text, text_of
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Param
from watcher.model import DEFAULT_TARGET, Submission, TaskRef

__all__ = ["FORBIDDEN_MEMBERS", "MAX_BODY", "REASONS", "parse_ref", "read", "steering_members"]

REASONS = frozenset(
    {"empty", "parse", "shape", "encoding", "depth", "duplicate_key", "number", "size", "field", "id", "kind", "version", "scope"}
)
"""Why an input names no task: the word in the dead letter, the log and the metric."""

MAX_BATCH = 5000
"""Tasks in one message. 256 KiB hold fewer valid ones; the limit bounds the work for a list of garbage."""
MAX_CONTEXT = 4096
"""Bytes of canonical JSON, because each event of the task carries them."""
MAX_DEADLINE_S = 30 * 86_400.0
"""Seconds. A longer deadline is reduced to this: no service keeps a task for as long."""
FORBIDDEN_MEMBERS = frozenset({"endpoint", "endpoint_url", "profile", "queue_url", "role_arn", "sink", "sinks", "topic_arn", "webhook_url"})
"""Members that would choose where calls or events go, or with whose permissions."""

_FLAT = {name.replace("_", ""): name for name in FORBIDDEN_MEMBERS}


def read(
    body: bytes, catalog: Catalog, *, now: float, region: str | None = None, plain: bool = False
) -> Sequence[Submission | InvalidInput]:
    """Return an entry for each task that a message names, in its order; none for a message that requires no action. Never raises.

    `now` is in seconds since the epoch. `region` is the configured one. `plain` also accepts a reference (`parse_ref`)
    instead of JSON.
    """
    try:
        text = text_of(body)
        if plain and text.lstrip(JSON_SPACE)[0] not in '{["':
            return [Submission(parse_ref(text, catalog))]
        value = decode_text(text)
    except InvalidInput as error:
        return [_without_traceback(error)]
    found = (outcome for element in unwrap(value, catalog) for outcome in _outcomes(element, catalog, now, region))
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
    _check_scope({"target": target}, None)
    kind = catalog[parts.pop(0)] if _is_key(parts, catalog) else catalog.default
    if len(parts) == len(kind.params) + 1:
        raise _unknown_kind(catalog)
    if len(parts) != len(kind.params):
        names = "/".join(param.name for param in kind.params)
        raise InvalidInput("shape", f"expected {names}, or a key, which begins with the kind")
    return TaskRef(kind.name, tuple(_valid(param, part) for param, part in zip(kind.params, parts, strict=True)))


def steering_members(body: bytes, catalog: Catalog) -> Sequence[str]:
    """Return the `FORBIDDEN_MEMBERS` of a message, in any spelling, each as often as it occurs. Never raises."""
    try:
        found = list(islice(unwrap(decode(body), catalog), MAX_BATCH))
    except InvalidInput:
        return ()  # `read` reports it
    names = [_flat(name) for element in found if isinstance(element.content, Mapping) for name in element.content]
    return [_FLAT[name] for name in names if name in _FLAT]


def _outcomes(element: Unwrapped, catalog: Catalog, now: float, region: str | None) -> Iterator[Submission | InvalidInput]:
    content = element.content
    if isinstance(content, InvalidInput):
        yield InvalidInput(content.reason, element.place + content.detail)
        return
    for pasted in _pasted(content, catalog) or [None]:
        try:
            if element.notified is not None:
                submission = _notification(content, element.notified)
            else:
                submission = _submission(content, catalog, pasted, now, region)
        except InvalidInput as error:
            yield _without_traceback(error, element.place)
        else:
            if submission is not None:
                yield submission


def _pasted(message: Mapping[str, Any], catalog: Catalog) -> Sequence[Kind | None]:
    """The kinds whose reply, as the API sent it, is part of the message. Of kinds with the same reply: the one that the message names."""
    found: dict[str, Kind | None] = {}
    for kind in catalog:
        member = kind.reply.member
        if member is not None and member in message and (member not in found or message.get("kind") == kind.name):
            found[member] = kind
    return list(found.values())


def _submission(message: Mapping[str, Any], catalog: Catalog, pasted: Kind | None, now: float, region: str | None) -> Submission:
    """`pasted` is the kind whose reply is part of the message."""
    _check_version(message)
    _check_scope(message, region)
    kind = _kind(message, catalog, pasted)
    objects = [message] if pasted is None else [message, *_objects_of(pasted.reply.task.find(message))]
    ref = TaskRef(kind.name, tuple(_valid(param, _value(objects, _spellings(param))) for param in kind.params))
    return Submission(ref, context=_context(message.get("context")), deadline_s=_deadline(message, now))


def _notification(detail: Mapping[str, Any], kind: Kind) -> Submission | None:
    """None for a notification without all identifiers of a task: AWS also announces tasks that this kind's call cannot read."""
    own_id = kind.notifications.id if kind.notifications else None
    spellings = [_spellings(param) for param in kind.params]
    if own_id is not None:
        spellings[-1] = (own_id, *spellings[-1])
    values = [_value([detail], names) for names in spellings]
    if any(value is None for value in values):
        return None
    ids = tuple(_valid(param, value) for param, value in zip(kind.params, values, strict=True))
    return Submission(TaskRef(kind.name, ids), poll_now=True)


def _kind(message: Mapping[str, Any], catalog: Catalog, pasted: Kind | None) -> Kind:
    named = message.get("kind")
    if named is not None:
        kind = catalog.get(named) if isinstance(named, str) else None
        if kind is None:
            raise _unknown_kind(catalog)
        if pasted not in (None, kind):
            raise InvalidInput("kind", "the kind does not match the task in the message")
        return kind
    complete = (kind for kind in catalog if all(_value([message], _spellings(param)) is not None for param in kind.params))
    return pasted or next(complete, catalog.default)


def _unknown_kind(catalog: Catalog) -> InvalidInput:
    return InvalidInput("kind", f"the kind is unknown; use one of {', '.join(catalog.kinds)}")


def _is_key(parts: Sequence[str], catalog: Catalog) -> bool:
    """Whether these are the name of a kind and as many identifiers as the kind has."""
    return bool(parts) and parts[0] in catalog and len(parts) == 1 + len(catalog[parts[0]].params)


def _objects_of(task: Any) -> list[Mapping[str, Any]]:
    """The task and the objects directly inside it: a reply may hold some of the identifiers one level down."""
    if not isinstance(task, Mapping):
        raise InvalidInput("shape", "the task in the message is not an object")
    return [task, *(inner for inner in task.values() if isinstance(inner, Mapping))]


def _spellings(param: Param) -> tuple[str, ...]:
    """The names of a parameter in the API, in our own messages, and in AWS's notifications."""
    return (param.name, param.field, param.name[:1].lower() + param.name[1:])


def _value(objects: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    found = [members[name] for members in objects for name in names if members.get(name) is not None]
    if any(value != found[0] for value in found[1:]):
        raise InvalidInput("field", f"{names[0]} is given more than once, with different values; keep one")
    return found[0] if found else None


def _valid(param: Param, value: Any) -> str:
    """Return a value that is safe in a request. Identifiers become part of a URL, and the SDK does not check them."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("field", f"{param.name} is missing, blank, or not a string")
    if not param.pattern.fullmatch(value) or ".." in value:
        raise InvalidInput("id", f"{param.name} does not have the form of such an identifier")
    return value


def _check_version(message: Mapping[str, Any]) -> None:
    for name in ("version", "schema_version"):
        value = message.get(name)
        if value is not None and (isinstance(value, bool) or value not in (1, "1", "1.0")):
            raise InvalidInput("version", f"{name} must be 1")


def _check_scope(message: Mapping[str, Any], region: str | None) -> None:
    if message.get("target") not in (None, DEFAULT_TARGET):
        raise InvalidInput("scope", "the target is not configured")
    if message.get("region") not in (None, region):
        raise InvalidInput("scope", "the region is not the configured one")


def _deadline(message: Mapping[str, Any], now: float) -> float | None:
    """Seconds from now, from `deadline_s` (the same) or `deadline_at` (seconds since the epoch)."""
    given = [(name, message[name]) for name in ("deadline_s", "deadline_at") if message.get(name) is not None]
    if not given:
        return None
    name, value = given[0]
    if len(given) > 1:
        raise InvalidInput("field", "deadline_s and deadline_at are both given; keep one")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput("field", f"{name} must be a number of seconds")
    left = float(value) - (now if name == "deadline_at" else 0.0)
    if left <= 0:
        raise InvalidInput("field", f"{name} has already passed")
    return min(left, MAX_DEADLINE_S)


def _context(value: Any) -> str | None:
    if value is None:
        return None
    text = canonical(value)
    if len(text.encode()) > MAX_CONTEXT:
        raise InvalidInput("size", f"the context is larger than {MAX_CONTEXT} bytes of JSON; shorten it")
    return text


def _without_traceback(error: InvalidInput, place: str = "") -> InvalidInput:
    """A copy without traceback and cause: these would keep the whole body in memory for as long as the error exists."""
    return InvalidInput(error.reason, place + error.detail)


def _flat(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
