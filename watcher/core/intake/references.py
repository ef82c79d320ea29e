"""Reads a text that names one task: the identifiers of the default kind, the key of any task, or an ARN."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from watcher.core.intake.kind_names import near_kind, unknown_kind
from watcher.core.intake.scopes import Targets
from watcher.core.intake.strict_json import JSON_SPACE
from watcher.core.intake.task_arns import PREFIX, arn_values, kinds_of_arn
from watcher.core.intake.task_objects import Objects, name_in
from watcher.errors import InvalidInput
from watcher.kinds.arn import TaskArn
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Param
from watcher.model import DEFAULT_TARGET, Scope, TaskRef

DEFAULT_SCOPES: Mapping[str, Scope] = {DEFAULT_TARGET: Scope()}
"""The default target alone, in a Region and an account that are not known."""

_CONNECTOR = re.compile(r"[a-z0-9]{21,22}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A voice connector id as the service makes them."""
_LIKE_KIND = re.compile(r"[a-z]+(-[a-z]+)+")


def parse_ref(text: str, catalog: Catalog, targets: Targets | None = None) -> TaskRef:
    """Return the task that a reference names. Raises InvalidInput: shape, kind, scope, field, id.

    A reference is the identifiers of the default kind, or any key, joined by `/`, or an ARN. Each part may be percent-encoded.
    Before an ARN there may be a kind, or a target and a kind. Without `targets`, the default target is the only one.
    """
    targets = Targets(DEFAULT_SCOPES) if targets is None else targets
    given = text.strip(JSON_SPACE)
    head, arn = _split(given)
    if arn is not None:
        return _ref_of_arn(head, arn, catalog, targets)
    parts = [unquote(part) for part in given.split("/")]
    has_target = not _is_key(parts, catalog) and _is_key(parts[1:], catalog)
    target = targets.named(parts.pop(0) if has_target else None)
    kind = catalog[parts.pop(0)] if _is_key(parts, catalog) else catalog.default
    if len(parts) == len(kind.params) + 1:
        raise unknown_kind(parts[0], catalog)
    if len(parts) != len(kind.params):
        raise InvalidInput("shape", f"expected {_form_of(kind)}, kind/identifiers for a task of another kind, or the ARN of a task")
    arn_in_key = kind.arn.match(parts[-1]) if kind.arn is not None else None
    if arn_in_key is not None:
        targets.check_place(target, arn_in_key.region, arn_in_key.account)
    return TaskRef(kind.name, valid_ids(kind, parts), target)


def is_key_or_arn(text: str, catalog: Catalog) -> bool:
    """Whether a text names the kind of its task: a key with a kind and its identifiers, or an ARN."""
    given = text.strip(JSON_SPACE)
    parts = [unquote(part) for part in given.split("/")]
    return _split(given)[1] is not None or _is_key(parts, catalog) or _is_key(parts[1:], catalog)


def misread_kind(text: str, catalog: Catalog) -> str | None:
    """Return a warning if a reference is read as one of the default kind, although its first part looks like another kind; else None.

    Only for references that a person wrote, because the warning repeats that part.
    """
    given = text.strip(JSON_SPACE)
    parts = [unquote(part) for part in given.split("/")]
    if is_key_or_arn(given, catalog) or len(parts) != len(catalog.default.params) or _CONNECTOR.fullmatch(parts[0]):
        return None
    near = near_kind(parts[0], catalog)
    if near is None and not _LIKE_KIND.fullmatch(parts[0]):
        return None
    hint = "`watcher kinds list` shows all kinds" if near is None else f"did you mean {near}?"
    return f'"{parts[0]}" is not a kind, so this is read as {_form_of(catalog.default)}; {hint}'


def _form_of(kind: Kind) -> str:
    return "/".join(param.name for param in kind.params)


def valid_ids(kind: Kind, values: Sequence[Any], objects: Objects = (), *, of_arn: bool = False) -> tuple[str, ...]:
    """Return identifiers that are safe in a request. Raises InvalidInput: field, id.

    An error names an identifier as `objects`, the parts of the message, spell it. `of_arn`: the others come from an ARN.
    """
    suffix = " in the ARN" if of_arn else ""
    names = (name_in(objects, param) or param.field + suffix for param in kind.params)
    return tuple(_valid(param, value, name) for param, value, name in zip(kind.params, values, names, strict=True))


def _valid(param: Param, value: Any, name: str) -> str:
    """Identifiers become part of a URL, and the SDK does not check them."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("field", f"{name} is missing, blank, or not a string{_such_as(param)}")
    if not param.pattern.fullmatch(value) or ".." in value:
        form = _such_as(param) or f"; expected a match of the regular expression {param.pattern.pattern}"
        raise InvalidInput("id", f"{name} does not have the required form{form}")
    return value


def _such_as(param: Param) -> str:
    """A value of an identifier, if the kind declares one. Without, its example is the name of the parameter."""
    return "" if param.example in ("", param.name) else f"; expected a value such as {param.example}"


def _split(text: str) -> tuple[Sequence[str], str | None]:
    """The parts before an ARN, and the ARN, which may contain slashes; None where there is none."""
    if text.startswith(PREFIX):
        return (), text
    before, found, rest = text.partition(f"/{PREFIX}")
    return (before.split("/"), PREFIX + rest) if found and before.count("/") <= 1 else ((), None)


def _ref_of_arn(head: Sequence[str], text: str, catalog: Catalog, targets: Targets) -> TaskRef:
    """`head` is what is before the ARN: nothing, a kind, or a target and a kind."""
    found = kinds_of_arn(text, catalog)
    if head and head[-1] not in catalog:
        raise unknown_kind(head[-1], catalog)
    kinds = [kind for kind in found if not head or kind.name == head[-1]]
    if not kinds:
        raise InvalidInput("kind", f"the ARN does not name a task of {'this' if head else 'a known'} kind")
    if len(kinds) > 1:
        names = ", ".join(kind.name for kind in kinds)
        raise InvalidInput("kind", f"several kinds have ARNs of this form: {names}; write the kind before the ARN")
    arn = found[kinds[0]]
    target = target_of(arn, head[0] if len(head) == 2 else None, targets)  # a target and a kind
    return TaskRef(kinds[0].name, valid_ids(kinds[0], arn_values(kinds[0], arn), of_arn=True), target)


def target_of(arn: TaskArn, named: Any, targets: Targets) -> str:
    """Return the target of a task by its ARN. A target that is named must agree with it. Raises InvalidInput: scope."""
    if named is None:
        return targets.at(arn.region, arn.account)
    target = targets.named(named)
    targets.check_place(target, arn.region, arn.account)
    return target


def _is_key(parts: Sequence[str], catalog: Catalog) -> bool:
    """Whether these are the name of a kind and as many identifiers as the kind has."""
    return bool(parts) and parts[0] in catalog and len(parts) == 1 + len(catalog[parts[0]].params)
