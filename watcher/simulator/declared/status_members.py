"""Finds the members of a reply from which a kind reads a given status. Some kinds compute it, as ECS does from a status and exit codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any

from watcher.kinds.paths import Expression
from watcher.simulator.declared.places import Place, places_read, put, shape_at, strings_in

MAX_TRIES = 20_000
"""Combinations of values that are tried for one status."""


class StatusMembers:
    """The members for each status, found by trying: the status itself, the literals of the expression, the words of enums."""

    def __init__(self, expression: Expression, shape: Any) -> None:
        self._expression = expression
        self.places = [place for place in places_read(expression) if shape_at(shape, place) is not None]
        """Where the expression looks."""
        self._shape = shape
        self._found: dict[str, Mapping[Place, Any]] = {}

    def of(self, status: str) -> Mapping[Place, Any]:
        """Return values by their places with which the expression finds this status. Raises ValueError where there are none."""
        if status not in self._found:
            self._found[status] = self._search(status)
        return self._found[status]

    def _search(self, status: str) -> Mapping[Place, Any]:
        for members in islice(self._candidates(status), MAX_TRIES):
            task: dict[str, Any] = {}
            for place, value in members.items():
                put(task, place, value)
            if self._expression.find(task) == status:
                return members
        raise ValueError(f"found no members with which {self._expression.text} is {status}")

    def _candidates(self, status: str) -> Iterator[Mapping[Place, Any]]:
        """Yield what to try. A status that the expression makes of other words is first tried without it in any member."""
        literals = strings_in(self._expression)
        if status not in literals:
            yield from ({place: status} for place in self.places)
        others = [word for word in literals if word != status]
        for words in (others, [status, *others]):
            for combination in product(*(self._values(place, words) for place in self.places)):
                yield {place: value for place, value in zip(self.places, combination, strict=True) if value is not None}

    def _values(self, place: Place, words: Sequence[str]) -> list[Any]:
        """What to try at a place, with None for a member that is absent."""
        shape = shape_at(self._shape, place)
        if shape.type_name == "string":
            enum = list(getattr(shape, "enum", None) or ())
            return [None, *dict.fromkeys(word for word in (*words, *enum) if not enum or word in enum)]
        if shape.type_name in ("integer", "long"):
            return [0, 1, None]
        return [None, True, False] if shape.type_name == "boolean" else [None]
