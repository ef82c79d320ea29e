"""The JSON Schemas of the forms in which a message names a task of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.core.intake.members import OUR_MEMBERS
from watcher.core.intake.replies import reply_members
from watcher.core.intake.task_objects import lower_camel, spellings
from watcher.kinds.kind import Kind, Param

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KindSchemas:
    """The definitions of one kind by name: the forms of its messages, and what they refer to."""

    forms: Mapping[str, Schema]
    parts: Mapping[str, Schema]
    reply: str | None
    """The name of the form with a reply; None for a kind whose reply is the task itself."""

    @property
    def all(self) -> Mapping[str, Schema]:
        """All definitions."""
        return {**self.parts, **self.forms}


def kind_schemas(kind: Kind) -> KindSchemas:
    """Return the schemas of the forms of one kind."""
    *outer, own = kind.params
    named = {"kind": {"enum": [kind.name, None]}}
    inside: Schema = {"allOf": [_named(kind, param) for param in outer]} if outer else {}
    whole: Schema = {"anyOf": [inside, some_member({"type": "object", **inside})]} if outer else {}
    ids: list[Schema] = [{"allOf": [_own(kind, own), whole]}]
    arn = [] if kind.arn is None else [some_member({"$ref": f"#/$defs/{kind.name} arn"})]
    task: Schema = {"properties": {**named, **_values(kind)}, "anyOf": [*ids, *arn]}
    replies = list(_replies(kind, inside, [_own(kind, own), *arn], whole))
    parts = {f"{kind.name} {param.field}": _value(param, kind) for param in kind.params}
    if kind.arn is not None:
        parts[f"{kind.name} arn"] = {"type": "string", "pattern": f"^{kind.arn.pattern}$(?!\\n)", "not": {"pattern": r"\.\."}}
    forms = {f"{kind.name} task": task}
    if replies:
        forms[f"{kind.name} reply"] = {"properties": named, "anyOf": replies}
    return KindSchemas(forms, parts, f"{kind.name} reply" if replies else None)


def some_member(schema: Schema) -> Schema:
    """At least one member is as the schema says, whatever its name, except for those that name no task."""
    return {"not": {"properties": dict.fromkeys(sorted(OUR_MEMBERS), True), "additionalProperties": {"not": schema}}}


def _replies(kind: Kind, inside: Schema, names: Sequence[Schema], whole: Schema) -> Iterator[Schema]:
    """A reply with the task in a member, or the tasks in a list. The identifiers besides the task's own may be beside the reply."""
    *_, own = kind.params
    task: Schema = {"type": "object", "anyOf": [*names]}
    string: Schema = {"$ref": f"#/$defs/{kind.name} {own.field}"}
    for name, listed in reply_members(kind).items():
        alone: Schema = {**task, **({"allOf": [_or_arn(whole, names)]} if whole else {})}
        if listed:
            yield {"required": [name], "properties": {name: {"type": "array", "minItems": 1, "items": alone}}}
            yield {"required": [name], "properties": {name: {"type": "array", "minItems": 1, "items": {"anyOf": [task, string]}}}, **inside}
        else:
            yield {"required": [name], "properties": {name: alone}}
            if inside:
                yield {"required": [name], "properties": {name: task}, **inside}


def _or_arn(whole: Schema, names: Sequence[Schema]) -> Schema:
    """An ARN names all identifiers."""
    return {"anyOf": [whole, *names[1:]]}


def _own(kind: Kind, own: Param) -> Schema:
    """The task's own id is there, under one of its names or as a reply has it."""
    paths = [path for path in (kind.reply.id, None if kind.batch is None else kind.batch.id) if path is not None]
    of_reply = [path.members[0] for path in paths if path.members is not None and len(path.members) == 1]
    names = [*spellings(own), *of_reply, *(lower_camel(name) for name in of_reply if kind.reply.status.text[:1].isupper())]
    value = {"$ref": f"#/$defs/{kind.name} {own.field}"}
    return {"anyOf": [{"required": [name], "properties": {name: value}} for name in dict.fromkeys(names)]}


def _named(kind: Kind, param: Param) -> Schema:
    """The identifier is there, under one of its names."""
    value = {"$ref": f"#/$defs/{kind.name} {param.field}"}
    return {"anyOf": [{"required": [name], "properties": {name: value}} for name in spellings(param)]}


def _values(kind: Kind) -> dict[str, Any]:
    names = ((param, name) for param in kind.params for name in spellings(param))
    return {name: {"anyOf": [{"$ref": f"#/$defs/{kind.name} {param.field}"}, {"type": "null"}]} for param, name in names}


def _value(param: Param, kind: Kind) -> dict[str, Any]:
    """An identifier, or an ARN that ends with it or names the whole task."""
    pattern = param.pattern.pattern if kind.arn is None else f"{param.pattern.pattern}|arn:[^\\s]+"
    return {"type": "string", "pattern": f"^(?:{pattern})$(?!\\n)", "not": {"pattern": r"\.\."}}
