"""Compares the requests of a kind with the shapes of its operations. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watcher.kinds.api_model import Operation, Shape, nearest
from watcher.kinds.form import KindForm
from watcher.kinds.path_shapes import a
from watcher.yaml_text import KeyPath

Mistake = tuple[KeyPath, str]

_VALUES: Mapping[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "timestamp": (str, int, float),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}
"""The values in YAML that a request can have for a shape."""


def request_mistakes(form: KindForm, operation: Operation) -> Iterator[Mistake]:
    """Yield what is wrong with the request about one task: its params, the constants in it, and what it lacks."""
    request = operation.request
    for name, param in form.params.items():
        yield from _param_mistakes(("params", name), name, param.list, operation)
    yield from _constant_mistakes(form, operation)
    yield from _missing(("params",), {*form.params, *form.extra}, request)


def batch_request_mistakes(form: KindForm, operation: Operation) -> Iterator[Mistake]:
    """Yield what is wrong with the request about many tasks: the list of ids replaces the last param."""
    if form.batch is None:
        return
    *shared, _ = form.params.items()
    for name, param in shared:
        yield from _param_mistakes(("params", name), name, param.list, operation)
    yield from _param_mistakes(("batch", "param"), form.batch.param, True, operation)
    yield from _constant_mistakes(form, operation)
    yield from _missing(("batch", "param"), {*dict(shared), form.batch.param, *form.extra}, operation.request)
    ids = operation.request.members.get(form.batch.param)
    if ids is not None and ids.most is not None and form.batch.size > ids.most:
        yield ("batch", "size"), f"{operation.name} takes at most {ids.most} {form.batch.param}, got {form.batch.size}"


def _param_mistakes(key: KeyPath, name: str, in_list: bool, operation: Operation) -> Iterator[Mistake]:
    members = operation.request.members
    if name not in members:
        yield key, f"{operation.name} has no parameter {name}; {nearest(name, members)}"
        return
    shape = members[name]
    if shape is None:
        return
    at = key if key[0] == "batch" else (*key, "list")
    if in_list and shape.type != "list":
        advice = "remove list: true" if key[0] == "params" else "name a list of ids"
        yield at, f"{operation.name} has {a(shape)} in this place; {advice}"
    elif not in_list and shape.type == "list":
        yield at, f"{operation.name} has a list in this place; write list: true"
    elif (value := shape.element if in_list else shape) is not None and value.type != "string":
        yield key, f"{operation.name} has {a(value)} in this place, and the identifiers of a task are strings; choose another parameter"


def _missing(key: KeyPath, given: set[str], request: Shape) -> Iterator[Mistake]:
    for name in request.required:
        if name not in given:
            yield key, f"the API requires {name}; add it to params, or to extra with a constant value"


def _constant_mistakes(form: KindForm, operation: Operation) -> Iterator[Mistake]:
    for name, value in form.extra.items():
        if name in form.params:
            yield ("extra", name), "is in params too; remove one of them"
        elif name not in operation.request.members:
            yield ("extra", name), f"{operation.name} has no parameter {name}; {nearest(name, operation.request.members)}"
        else:
            yield from _value_mistakes(("extra", name), value, operation.request.members[name])


def _value_mistakes(key: KeyPath, value: Any, shape: Shape | None) -> Iterator[Mistake]:
    """Yield what is wrong with a constant of a request."""
    if shape is None:
        return
    if not isinstance(value, _VALUES.get(shape.type, (object,))) or (isinstance(value, bool) and shape.type != "boolean"):
        yield key, f"expected {a(shape)}, as in the API"
    elif isinstance(value, str) and shape.enum and value not in shape.enum:
        yield key, f'the API has no value "{value}"; {nearest(value, shape.enum)}'
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _value_mistakes((*key, index), element, shape.element)
    elif isinstance(value, dict) and shape.type == "map":
        for name, inner in value.items():
            yield from _value_mistakes((*key, name), inner, shape.element)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in shape.members:
                yield from _value_mistakes((*key, name), inner, shape.members[name])
            else:
                yield (*key, name), f"{shape.name} has no member {name}; {nearest(name, shape.members)}"
        yield from ((key, f"the API requires {name} here; add it") for name in shape.required if name not in value)
