"""The part of an API model that a kind depends on: operations, and the shapes of their requests and replies.

An adapter reads it from the models that botocore ships. It is data, so that the checks of kinds need no AWS SDK.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from watcher.kinds.reading import why_not_reading


def _no_shapes() -> Mapping[str, Shape]:
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A type in an API. `load` returns the shapes inside it, which may contain this one again."""

    type: str
    """As botocore names it: structure, list, map, string, timestamp, integer, long, float, double, boolean, blob."""
    name: str = ""
    """As the model names it; empty for a shape that an expression builds."""
    enum: tuple[str, ...] = ()
    """The values of a string. Empty: any."""
    required: tuple[str, ...] = ()
    """The members of a structure that a request must have."""
    most: int | None = None
    """The greatest number of elements of a list. None: the model has no limit."""
    load: Callable[[], Mapping[str, Shape | None]] = _no_shapes
    """The members of a structure by name; the element of a list or the value of a map under the name ``. None: any shape."""

    @property
    def members(self) -> Mapping[str, Shape | None]:
        """The members of a structure by name. None: a member of any shape."""
        return self.load()

    @property
    def element(self) -> Shape | None:
        """The element of a list, or the value of a map. None: of any shape."""
        return self.load().get("")


def object_of(members: Mapping[str, Shape | None]) -> Shape:
    """Return the shape of an object that an expression builds."""
    return Shape("structure", load=lambda: members)


def list_of(element: Shape | None) -> Shape:
    """Return the shape of a list that an expression builds."""
    return Shape("list", load=lambda: {"": element})


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of a service."""

    method: str
    """As the method of botocore's client is named: `describe_jobs`."""
    name: str
    """As the API names it: `DescribeJobs`."""
    request: Shape
    reply: Shape
    service: str
    """As botocore names it."""
    http_method: str = "POST"
    errors: tuple[str, ...] = ()
    """The codes of its errors, as far as the model lists them."""

    @property
    def only_reads(self) -> bool:
        """Whether the operation changes nothing, as far as is known."""
        return self.why_not_reading is None

    @property
    def why_not_reading(self) -> str | None:
        """Why the operation may do more than read, as the end of a sentence about it; None if it only reads."""
        return why_not_reading(self.service, self.method, self.http_method)


@dataclass(frozen=True, slots=True, eq=False)
class ServiceApi:
    """The API of one service."""

    name: str
    operations: Mapping[str, Operation]
    """By the method of botocore's client."""
    waiters: Mapping[str, Mapping[str, Any]]
    """botocore's waiters by name, in the form of `waiters-2.json`: `acceptors`, and `operation`, here the method of the client."""


class ServiceApis(Protocol):
    """The APIs of all services that botocore knows."""

    @property
    def services(self) -> Collection[str]:
        """The names of all services."""

    def service(self, name: str) -> ServiceApi:
        """Return the API of one of `services`."""


def nearest(word: str, known: Iterable[str], *, most: int = 16) -> str:
    """Return `did you mean x?` for a known word that is similar, otherwise all known words, if there are at most `most` of them."""
    words = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), words, n=1) or [each for each in words if word.lower().endswith(each)]
    if near:
        return f"did you mean {words[near[0]]}?"
    return f"use one of: {', '.join(words.values())}" if 0 < len(words) <= most else "check its name in the API reference"
