"""Follows a JMESPath expression through the shapes of an API model: what it finds, and which of its names do not exist.

A shape that cannot be known, such as that of a member of a map, is None, and leads to no mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from watcher.kinds.api_model import Shape, list_of, nearest, object_of
from watcher.kinds.paths import Ast, parse_expression

_SCALARS = frozenset({"string", "timestamp", "integer", "long", "float", "double", "boolean", "blob", "number"})
_NUMBERS = frozenset({"abs", "avg", "ceil", "floor", "length", "sum", "to_number"})
_SAME_LIST = frozenset({"reverse", "sort", "sort_by"})
_AN_ELEMENT = frozenset({"max", "max_by", "min", "min_by"})
_A = {"structure": "an object", "map": "a map", "list": "a list", "integer": "an integer"}


def a(shape: Shape) -> str:
    """Return a shape in words: `a list`, `a timestamp`."""
    return _A.get(shape.type, f"a {shape.type}")


def shape_found(text: str, shape: Shape | None, note: Callable[[str], None]) -> Shape | None:
    """Return the shape of what an expression finds in a value of `shape`; None if that can be any. `note` gets each mistake."""
    return _Walker(note).visit(parse_expression(text), shape)


class _Walker:
    """Visits the nodes of one expression."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def visit(self, node: Ast, shape: Shape | None) -> Shape | None:
        """Return what a node finds in `shape`. A node that is not known finds any shape."""
        visit: Callable[[Ast, Shape | None], Shape | None] | None = getattr(self, f"_{node['type']}", None)
        return None if visit is None else visit(node, shape)

    def _identity(self, _node: Ast, shape: Shape | None) -> Shape | None:
        return shape

    _current = _identity

    def _field(self, node: Ast, shape: Shape | None) -> Shape | None:
        name = str(node["value"])
        if shape is None or shape.type in ("map", "null"):
            return None if shape is None else shape.element
        if shape.type == "structure":
            if name in shape.members:
                return shape.members[name]
            self._note(f"{_owner(shape)} has no member {name}; {nearest(name, shape.members)}")
        elif shape.type == "list":
            self._note(f"{name} is not found, because {_owner(shape)} is a list; add [0] for its first element before .{name}")
        else:
            self._note(f"{name} is not found, because {_owner(shape)} is {a(shape)}, which has no members")
        return None

    def _chain(self, node: Ast, shape: Shape | None) -> Shape | None:
        for child in node["children"]:
            shape = self.visit(child, shape)
        return shape

    _subexpression = _index_expression = _pipe = _chain

    def _index(self, node: Ast, shape: Shape | None) -> Shape | None:
        return self._element(shape, f"[{node['value']}]")

    def _slice(self, _node: Ast, shape: Shape | None) -> Shape | None:
        self._element(shape, "a slice")
        return shape

    def _element(self, shape: Shape | None, what: str) -> Shape | None:
        if shape is None:
            return None
        if shape.type != "list":
            self._note(f"{what} finds nothing, because {_owner(shape)} is {a(shape)} and not a list; remove {what}")
            return None
        return shape.element

    def _projection(self, node: Ast, shape: Shape | None) -> Shape | None:
        left, right = node["children"]
        return list_of(self.visit(right, self._element(self.visit(left, shape), "[*]")))

    def _filter_projection(self, node: Ast, shape: Shape | None) -> Shape | None:
        left, right, condition = node["children"]
        element = self._element(self.visit(left, shape), "[?]")
        self.visit(condition, element)
        return list_of(self.visit(right, element))

    def _flatten(self, node: Ast, shape: Shape | None) -> Shape | None:
        found = self.visit(node["children"][0], shape)
        element = self._element(found, "[]")
        return element if element is not None and element.type == "list" else found if element is not None else None

    def _value_projection(self, node: Ast, shape: Shape | None) -> Shape | None:
        left, right = node["children"]
        found = self.visit(left, shape)
        if found is not None and found.type in _SCALARS | {"list"}:
            self._note(f"* finds nothing, because {_owner(found)} is {a(found)} and not an object")
        return list_of(self.visit(right, found.element if found is not None and found.type == "map" else None))

    def _multi_select_dict(self, node: Ast, shape: Shape | None) -> Shape | None:
        return object_of({str(pair["value"]): self.visit(pair["children"][0], shape) for pair in node["children"]})

    def _multi_select_list(self, node: Ast, shape: Shape | None) -> Shape | None:
        return list_of(_union([self.visit(child, shape) for child in node["children"]]))

    def _or_expression(self, node: Ast, shape: Shape | None) -> Shape | None:
        return _union([self.visit(child, shape) for child in node["children"]])

    def _and_expression(self, node: Ast, shape: Shape | None) -> Shape | None:
        return [self.visit(child, shape) for child in node["children"]][-1]

    def _comparator(self, node: Ast, shape: Shape | None) -> Shape | None:
        for child in node["children"]:
            self.visit(child, shape)
        return Shape("boolean")

    _not_expression = _comparator

    def _literal(self, node: Ast, _shape: Shape | None) -> Shape | None:
        match node["value"]:
            case None:
                return Shape("null")
            case bool():
                return Shape("boolean")
            case int() | float():
                return Shape("number")
            case str() as text:
                return Shape("string", enum=(text,))
        return None

    def _function_expression(self, node: Ast, shape: Shape | None) -> Shape | None:
        expressions = [child["children"][0] for child in node["children"] if child["type"] == "expref"]
        found = [self.visit(child, shape) for child in node["children"] if child["type"] != "expref"]
        first = found[0] if found else None
        element = first.element if first is not None and first.type == "list" else None
        mapped = [self.visit(expression, element) for expression in expressions]
        return _result(str(node["value"]), found, element, mapped)


def _result(name: str, found: Sequence[Shape | None], element: Shape | None, mapped: Sequence[Shape | None]) -> Shape | None:
    """Return the shape of what a function returns. None if it is not known."""
    if name in _NUMBERS:
        return Shape("number")
    if name in _SAME_LIST:
        return found[0]
    if name in _AN_ELEMENT:
        return element
    match name:
        case "join" | "to_string" | "type":
            return Shape("string")
        case "contains" | "ends_with" | "starts_with":
            return Shape("boolean")
        case "keys":
            return list_of(Shape("string"))
        case "map":
            return list_of(mapped[0] if mapped else None)
        case "not_null":
            return _union(found)
    return None


def _union(shapes: Sequence[Shape | None]) -> Shape | None:
    """Return the shape of one of several alternatives, or None. Null does not count, and the enums of strings are joined."""
    known = [shape for shape in shapes if shape is not None and shape.type != "null"]
    if any(shape is None for shape in shapes) or not known:
        return None
    first = known[0]
    if len(known) == 1 or {shape.name for shape in known} == {first.name or None}:
        return first
    if all(shape.type == "string" for shape in known):
        words = tuple(dict.fromkeys(word for shape in known for word in shape.enum))
        return Shape("string", first.name, enum=words if all(shape.enum for shape in known) else ())
    if all(shape.type == "structure" for shape in known):
        names = dict.fromkeys(name for shape in known for name in shape.members)
        return object_of({name: _union([shape.members[name] for shape in known if name in shape.members]) for name in names})
    return None


def _owner(shape: Shape) -> str:
    return shape.name or "the value before it"
