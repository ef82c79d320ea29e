"""Finds out where a JMESPath expression reads, so that a simulated reply has a value there.

A path says so itself. Of an expression with alternatives (`a || b`) the first one is used; a list has one element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.kinds.paths import Ast, Expression, parse_expression

Place = tuple[str | int, ...]
"""Names of members and positions in lists from the outside in: `("jobs", 0, "status")`."""

_CHAINS = frozenset({"subexpression", "pipe", "index_expression"})
"""Nodes whose right side is evaluated on the value of the left side."""
_PROJECTIONS = frozenset({"projection", "filter_projection"})


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a value is. `projected`: the value is a list, which an expression made of what is at this place in each element."""

    place: Place
    projected: bool = False

    def then(self, part: str | int) -> _Found:
        return _Found((*self.place, part))

    @property
    def element(self) -> _Found:
        """The element of the list that the value is."""
        return _Found(self.place) if self.projected else self.then(0)


def place_of(expression: Expression | None) -> Place | None:
    """Return the place whose value the expression returns; None where there is no single one."""
    if expression is None:
        return None
    found = _places(parse_expression(expression.text), [_Found(())], every=False)
    return found[0].place if found else None


def list_place_of(expression: Expression) -> Place | None:
    """Return the place of the list that the expression returns; None where there is none."""
    found = _places(parse_expression(expression.text), [_Found(())], every=False)
    return found[0].element.place[:-1] if found else None


def places_read(expression: Expression | None) -> Sequence[Place]:
    """Return all places on which the value of the expression depends. None of them is inside another one."""
    if expression is None:
        return ()
    found = dict.fromkeys(item.place for item in _places(parse_expression(expression.text), [_Found(())], every=True))
    return [place for place in found if place and not any(other != place and other[: len(place)] == place for other in found)]


def strings_in(expression: Expression) -> Sequence[str]:
    """Return the literal strings of an expression."""
    return list(dict.fromkeys(_strings(parse_expression(expression.text))))


def _strings(ast: Ast) -> Iterator[str]:
    if ast["type"] == "literal" and isinstance(ast["value"], str):
        yield ast["value"]
    for child in ast["children"]:
        if isinstance(child, dict):
            yield from _strings(child)


def _places(ast: Ast, at: Sequence[_Found], *, every: bool) -> Sequence[_Found]:
    """Return the places of an expression that is evaluated at each place of `at`: `every` one, or those of its value."""
    children = [child for child in ast["children"] if isinstance(child, dict)]
    kind = ast["type"]
    if kind == "field":
        return [item.then(ast["value"]) for item in at]
    if kind in ("identity", "current"):
        return at
    if kind in ("index", "slice"):
        return [item.element for item in at]
    if kind in _CHAINS:
        for child in children:
            at = _places(child, at, every=every)
        return at
    if kind == "flatten":  # of a list of lists: what follows looks into the inner ones
        return [_Found(item.place) for item in _places(children[0], at, every=every)]
    if kind in _PROJECTIONS:
        elements = [item.element for item in _places(children[0], at, every=every)]
        conditions = [_places(child, elements, every=True) for child in children[2:]] if every else []
        inner = [_Found(item.place, projected=True) for item in _places(children[1], elements, every=every)]
        return [*inner, *_joined(conditions)]
    if kind in ("literal", "value_projection"):
        return []
    found = [_places(child, at, every=every) for child in children]
    if every:
        return _joined(found)
    written = [places for places in found if places]
    return (written[-1] if kind == "and_expression" else written[0]) if written else []


def _joined(lists: Sequence[Sequence[_Found]]) -> list[_Found]:
    return [item for items in lists for item in items]


def put(container: Any, place: Place, value: Any) -> None:
    """Write a value at a place of a JSON value, and make the objects and lists on the way there."""
    *way, last = place
    for part, following in zip(way, place[1:], strict=True):
        container = _member(container, part, [] if isinstance(following, int) else {})
    if isinstance(container, list):
        container[:1] = [value]
    else:
        container[last] = value


def remove(container: Any, place: Place) -> None:
    """Remove the member of an object that is at a place, if it is there."""
    for part in place[:-1]:
        found = container.get(part) if isinstance(container, dict) else container[:1] if isinstance(container, list) else None
        container = found[0] if isinstance(part, int) and found else found
    if isinstance(container, dict):
        container.pop(place[-1], None)


def _member(container: Any, part: str | int, new: Any) -> Any:
    if isinstance(container, list):
        if not container:
            container.append(new)
        return container[0]
    return container.setdefault(part, new)


def wrapped(place: Place, value: Any) -> Any:
    """Return a JSON value in which `value` is at `place`."""
    for part in reversed(place):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def shape_at(shape: Any, place: Place) -> Any:
    """Return the shape of botocore at a place of a reply; None where the API model has no such place."""
    for part in place:
        if shape is None:
            return None
        if shape.type_name == "structure":
            shape = shape.members.get(part)
        elif shape.type_name == "list" and isinstance(part, int):
            shape = shape.member
        else:
            shape = shape.value if shape.type_name == "map" else None
    return shape
