"""The JSON Schema of the results in events, generated from the expressions and the types of a kind.

It is exact for expressions of members, objects, lists, alternatives, and constants. For all other parts it accepts any JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.kinds.member_types import Types
from watcher.kinds.paths import EACH, Ast, Path, parse_expression
from watcher.kinds.results import ResultRules

Schema = Mapping[str, Any]
Alternatives = tuple[Schema, ...]
"""The possible schemas of a value. Each one has one type; `ANYTHING` has none."""

ANYTHING: Alternatives = ({},)
NULL: Schema = {"type": "null"}
STRING: Schema = {"type": "string"}
_JSON_TYPES = {"object": "object", "list": "array", "string": "string", "number": "number"}
_NO_ELEMENTS: Schema = {"type": "array", "maxItems": 0}


def result_schema(rules: ResultRules) -> Schema:
    """Return the schema of `result` in an event of this kind, under any setting of `events.results`."""
    if rules.expression is None:
        return NULL
    full = _truthy(parse_expression(rules.expression.text), _of_types(rules.types))
    found: list[Alternatives] = [full]
    if rules.private is not None:
        found = [_with_digests(full, rules.private, shows_nothing=rules.count is None)]
        if rules.count is not None:
            found.append(_infer(parse_expression(rules.count.text), full))
    return _schema(_union(*found, (NULL,)))


def _of_types(types: Types) -> Alternatives:
    """Return the schemas of a member of the task: its declared type, or null."""
    if not types.type:
        return ANYTHING
    schema: dict[str, Any] = {"type": _JSON_TYPES[types.type]}
    if types.members:
        schema["properties"] = {name: _schema(_of_types(inner)) for name, inner in types.members.items()}
    if types.each is not None:
        schema["items"] = _schema(_not_null(_of_types(types.each)))
    return (schema, NULL)


def _infer(ast: Ast, value: Alternatives) -> Alternatives:
    """Return the schemas of the result of an expression on such a value."""
    match ast["type"], ast["children"]:
        case "identity", _:
            return value
        case "field", _:
            return _union(*(_member(each, ast["value"]) for each in value))
        case "literal", _:
            return (_constant(ast["value"]),)
        case "subexpression" | "pipe", [left, right]:
            found = _infer(left, value)
            rest = _infer(right, _not_null(found))
            return _union(rest, (NULL,)) if NULL in found else rest
        case "or_expression", [left, right]:
            return _union(_truthy(left, value), _infer(right, value))
        case "multi_select_dict", pairs:
            return _object({pair["value"]: _infer(pair["children"][0], value) for pair in pairs}, value)
        case "projection", [left, right]:
            return _union(*(_elements(each, right) for each in _infer(left, value)))
        case "function_expression", _ if ast["value"] == "length":
            return ({"type": "integer", "minimum": 0},)
    return ANYTHING


def _truthy(ast: Ast, value: Alternatives) -> Alternatives:
    """Return the schemas of a result that counts as true, so that it is not null."""
    match ast["type"], ast["children"]:
        case "and_expression", [_, right]:
            return _truthy(right, value)
        case "or_expression", [left, right]:
            return _union(_truthy(left, value), _truthy(right, value))
        case "pipe", [left, right]:
            return _truthy(right, _not_null(_infer(left, value)))
    return _not_null(_infer(ast, value))


def _member(schema: Schema, name: str) -> Alternatives:
    if not schema:
        return ANYTHING
    if schema["type"] != "object":
        return (NULL,)
    return _alternatives(schema.get("properties", {}).get(name, {}))


def _elements(schema: Schema, ast: Ast) -> Alternatives:
    """Return the schemas of a projection: a list without nulls, or null for a value that is not a list."""
    if not schema:
        return ANYTHING
    if schema["type"] != "array":
        return (NULL,)
    return ({"type": "array", "items": _schema(_not_null(_infer(ast, _alternatives(schema.get("items", {})))))},)


def _object(members: Mapping[str, Alternatives], value: Alternatives) -> Alternatives:
    schema = {"type": "object", "properties": {name: _schema(each) for name, each in members.items()}, "required": list(members)}
    return (schema, NULL) if NULL in value or value == ANYTHING else (schema,)


def _constant(value: Any) -> Schema:
    if value is None:
        return NULL
    return _NO_ELEMENTS if value == [] else {"const": value, "type": _type_of(value)}


def _type_of(value: Any) -> str:
    types = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return types[type(value)]


def _with_digests(value: Alternatives, private: Sequence[Path], *, shows_nothing: bool) -> Alternatives:
    """Add the forms in which an identifier of a person is replaced by a digest or by null."""
    instead = (STRING, NULL) if shows_nothing else (STRING,)
    for path in private:
        value = _changed(value, path, instead)
    return value


def _changed(value: Alternatives, path: Path, instead: Alternatives) -> Alternatives:
    if not path:
        return _union(value, instead)
    return tuple(_changed_inside(schema, path, instead) for schema in value)


def _changed_inside(schema: Schema, path: Path, instead: Alternatives) -> Schema:
    part, rest = path[0], path[1:]
    if part is EACH:
        items = schema.get("items")
        return schema if items is None else {**schema, "items": _schema(_changed(_alternatives(items), rest, instead))}
    members = schema.get("properties", {})
    if part not in members:
        return schema
    return {**schema, "properties": {**members, part: _schema(_changed(_alternatives(members[part]), rest, instead))}}


def _not_null(value: Alternatives) -> Alternatives:
    return tuple(each for each in value if each != NULL)


def _union(*parts: Iterable[Schema]) -> Alternatives:
    """Return the alternatives of all parts without duplicates. A list without elements is covered by any other list."""
    found: list[Schema] = []
    for schema in (each for part in parts for each in part):
        if not schema:
            return ANYTHING
        if schema not in found:
            found.append(schema)
    lists = [each for each in found if each["type"] == "array" and each != _NO_ELEMENTS]
    return tuple(each for each in found if each != _NO_ELEMENTS or not lists)


def _schema(value: Alternatives) -> Schema:
    if len(value) == 1:
        return value[0]
    if all(set(each) == {"type"} for each in value):
        return {"type": [each["type"] for each in value]}
    return {"anyOf": list(value)}


def _alternatives(schema: Schema) -> Alternatives:
    """Return the alternatives of a schema, the reverse of `_schema`."""
    if "anyOf" in schema:
        return tuple(schema["anyOf"])
    if isinstance(schema.get("type"), list):
        return tuple({"type": each} for each in schema["type"])
    return (schema,)
