"""A queue message into what it asks for, or the reason why not.

A message never chooses where calls go: it names tasks, and members that would steer (`FORBIDDEN_MEMBERS`) are ignored
and counted. No text of a reason repeats what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import unquote

from watcher.core.intake.envelopes import Bare, unwrap
from watcher.core.intake.strict_json import JSON_SPACE, MAX_BODY, canonical, decode, decode_text, text_of
from watcher.errors import InvalidInput
from watcher.kinds import KINDS, Kind, Param
from watcher.model import DEFAULT_TARGET, Submission, TaskRef

__all__ = ["DEFAULT_KIND", "FORBIDDEN_MEMBERS", "MAX_BODY", "REASONS", "parse_ref", "read", "steering_members"]

REASONS = frozenset(
    {"empty", "parse", "shape", "encoding", "depth", "duplicate_key", "number", "size", "field", "id", "kind", "version", "scope"}
)
"""Why an input is no task: the word in the dead letter, the log and the metric."""

DEFAULT_KIND = "speaker-search"
"""Of a message that says no kind and fits no other."""
MAX_BATCH = 5000
"""Tasks in one message: more than 256 KiB hold of real ones, so that a list of rubbish is one dead letter and not 100,000."""
MAX_CONTEXT = 4096
"""Bytes of canonical JSON, because each event of the task carries them."""
MAX_DEADLINE_S = 30 * 86_400.0
"""Seconds. Longer wishes are cut to this: no task can be read for as long."""
FORBIDDEN_MEMBERS = frozenset({"endpoint", "endpoint_url", "profile", "queue_url", "role_arn", "sink", "sinks", "topic_arn", "webhook_url"})
"""Members that would choose where calls or events go, or as whom, if anybody listened to them."""

_FLAT = {name.replace("_", ""): name for name in FORBIDDEN_MEMBERS}


def read(body: bytes, *, now: float, region: str | None = None, plain: bool = False) -> Sequence[Submission | InvalidInput]:
    """One entry for each task a message names, in its order; nothing where there is nothing to do. Never raises.

    `region` is the one that is configured. `plain` also takes `VoiceConnectorId/TaskId` or a key instead of JSON.
    """
    try:
        text = text_of(body)
        if plain and text.lstrip(JSON_SPACE)[0] not in '{["':
            return [Submission(parse_ref(text))]
        value = decode_text(text)
    except InvalidInput as error:
        return [_forgetful(error)]
    found = (outcome for bare in unwrap(value) for outcome in _outcomes(bare, now, region))
    outcomes = list(islice(found, MAX_BATCH + 1))
    return outcomes if len(outcomes) <= MAX_BATCH else [InvalidInput("size", f"more than {MAX_BATCH} tasks in one message")]


def parse_ref(text: str) -> TaskRef:
    """`VoiceConnectorId/TaskId` or a key, each part percent-encoded or not. Raises InvalidInput: shape, kind, scope, field, id."""
    parts = [unquote(part) for part in text.strip(JSON_SPACE).split("/")]
    target = parts.pop(0) if _is_keyed(parts[1:]) else DEFAULT_TARGET
    _check_scope({"target": target}, None)
    kind = KINDS[parts.pop(0)] if _is_keyed(parts) else KINDS[DEFAULT_KIND]
    if len(parts) == len(kind.params) + 1:
        raise _no_kind()
    if len(parts) != len(kind.params):
        names = "/".join(param.name for param in kind.params)
        raise InvalidInput("shape", f"a task is named as {names}, or as its key with the kind in front")
    return TaskRef(kind.name, tuple(_valid(param, part) for param, part in zip(kind.params, parts, strict=True)))


def steering_members(body: bytes) -> Sequence[str]:
    """Which `FORBIDDEN_MEMBERS` a message names, once for each time, however spelled. Never raises."""
    try:
        found = list(islice(unwrap(decode(body)), MAX_BATCH))
    except InvalidInput:
        return ()  # its reason was told by `read`
    names = [_flat(name) for bare in found if isinstance(bare.content, Mapping) for name in bare.content]
    return [_FLAT[name] for name in names if name in _FLAT]


def _outcomes(bare: Bare, now: float, region: str | None) -> Iterator[Submission | InvalidInput]:
    if isinstance(bare.content, InvalidInput):
        yield InvalidInput(bare.content.reason, bare.place + bare.content.detail)
        return
    replies: list[Kind | None] = [kind for kind in KINDS.values() if kind.reply in bare.content]
    for pasted in replies or [None]:
        try:
            submission = _hint(bare.content, bare.hint) if bare.hint else _submission(bare.content, pasted, now, region)
        except InvalidInput as error:
            yield _forgetful(error, bare.place)
        else:
            if submission is not None:
                yield submission


def _submission(message: Mapping[str, Any], pasted: Kind | None, now: float, region: str | None) -> Submission:
    """`pasted` is the kind whose reply stands in the message as the API gave it."""
    _check_version(message)
    _check_scope(message, region)
    kind = _kind(message, pasted)
    objects = [message] if pasted is None else [message, *_objects_of(message[pasted.reply])]
    ref = TaskRef(kind.name, tuple(_valid(param, _value(objects, _spellings(param))) for param in kind.params))
    return Submission(ref, context=_context(message.get("context")), deadline_s=_deadline(message, now))


def _hint(detail: Mapping[str, Any], kind: Kind) -> Submission | None:
    """None where AWS names no voice connector, as for media insights pipelines: those tasks cannot be asked about."""
    spellings = [_spellings(param) for param in kind.params[:-1]] + [("taskId", *_spellings(kind.params[-1]))]
    values = [_value([detail], names) for names in spellings]
    if any(value is None for value in values):
        return None
    ids = tuple(_valid(param, value) for param, value in zip(kind.params, values, strict=True))
    return Submission(TaskRef(kind.name, ids), hint=True)


def _kind(message: Mapping[str, Any], pasted: Kind | None) -> Kind:
    named = message.get("kind")
    if named is not None:
        kind = _kind_named(named)
        if pasted not in (None, kind):
            raise InvalidInput("kind", "the kind is not that of the task in it")
        return kind
    complete = (kind for kind in KINDS.values() if all(_value([message], _spellings(param)) is not None for param in kind.params))
    return pasted or next(complete, KINDS[DEFAULT_KIND])


def _kind_named(name: Any) -> Kind:
    if not isinstance(name, str) or name not in KINDS:
        raise _no_kind()
    return KINDS[name]


def _no_kind() -> InvalidInput:
    return InvalidInput("kind", f"the kind is none of {', '.join(KINDS)}")


def _is_keyed(parts: Sequence[str]) -> bool:
    """Whether these are a kind and as many ids as it has."""
    return bool(parts) and parts[0] in KINDS and len(parts) == 1 + len(KINDS[parts[0]].params)


def _objects_of(task: Any) -> list[Mapping[str, Any]]:
    """A task as the API shows it has some of its ids one level down (`CallDetails`)."""
    if not isinstance(task, Mapping):
        raise InvalidInput("shape", "the task in it is no object")
    return [task, *(inner for inner in task.values() if isinstance(inner, Mapping))]


def _spellings(param: Param) -> tuple[str, ...]:
    """As the API, our own messages, and AWS's notifications write it."""
    return (param.name, param.field, param.name[:1].lower() + param.name[1:])


def _value(objects: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    found = [members[name] for members in objects for name in names if members.get(name) is not None]
    if any(value != found[0] for value in found[1:]):
        raise InvalidInput("field", f"{names[0]} stands there twice, with two values")
    return found[0] if found else None


def _valid(param: Param, value: Any) -> str:
    """Ids become part of a path that the SDK does not check, so nothing passes that could bend it."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("field", f"{param.name} is missing, blank or no string")
    if not param.pattern.fullmatch(value) or ".." in value:
        raise InvalidInput("id", f"{param.name} is not of the form of such an id")
    return value


def _check_version(message: Mapping[str, Any]) -> None:
    for name in ("version", "schema_version"):
        value = message.get(name)
        if value is not None and (isinstance(value, bool) or value not in (1, "1", "1.0")):
            raise InvalidInput("version", f"{name} is not 1")


def _check_scope(message: Mapping[str, Any], region: str | None) -> None:
    if message.get("target") not in (None, DEFAULT_TARGET):
        raise InvalidInput("scope", "the target is not configured")
    if message.get("region") not in (None, region):
        raise InvalidInput("scope", "the region is not the configured one")


def _deadline(message: Mapping[str, Any], now: float) -> float | None:
    """Seconds from now: `deadline_s` says them, `deadline_at` says the second of the epoch."""
    given = [(name, message[name]) for name in ("deadline_s", "deadline_at") if message.get(name) is not None]
    if not given:
        return None
    name, value = given[0]
    if len(given) > 1 or isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput("field", f"{name} is a number of seconds, and the only deadline")
    left = float(value) - (now if name == "deadline_at" else 0.0)
    if left <= 0:
        raise InvalidInput("field", f"{name} has passed already")
    return min(left, MAX_DEADLINE_S)


def _context(value: Any) -> str | None:
    if value is None:
        return None
    text = canonical(value)
    if len(text.encode()) > MAX_CONTEXT:
        raise InvalidInput("size", f"the context is larger than {MAX_CONTEXT} bytes")
    return text


def _forgetful(error: InvalidInput, place: str = "") -> InvalidInput:
    """The same without traceback and cause, which would keep the body, for as long as somebody keeps the reason."""
    return InvalidInput(error.reason, place + error.detail)


def _flat(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
