"""The kinds that can be served, with the API models of their services. Built at the first request about one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from watcher.kinds.kind import Kind
from watcher.simulator.declared.contents import Contents
from watcher.simulator.declared.models import Operation, load_api
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

Kinds = Callable[[], Iterable[Kind]]
"""Returns the kinds to serve. Called one time, when they are needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One operation by which tasks of one kind are read."""

    kind: Kind
    operation: Operation
    batched: bool
    """Whether it is the operation of `Kind.batch`."""
    contents: Contents

    @property
    def param(self) -> str:
        """The parameter with the ids of the tasks."""
        batch = self.kind.batch
        return batch.param if self.batched and batch is not None else self.kind.params[-1].name


class ServedKinds:
    """The kinds that have no description of their own. Those of the voice service are left out."""

    def __init__(self, kinds: Kinds, mark: str = "") -> None:
        self._kinds = kinds
        self._mark = mark
        self._routes: Sequence[Route] | None = None

    @property
    def routes(self) -> Sequence[Route]:
        """All operations. Those of later kinds come first, so that a user's kind precedes a shipped one with the same call.

        Raises ValueError for a kind that does not fit the API model.
        """
        if self._routes is None:
            served = [kind for kind in self._kinds() if kind.name not in SIMULATED_KINDS]
            self._routes = [route for kind in reversed(served) for route in self._routes_of(kind)]
        return self._routes

    def signed_as(self, signing_name: str) -> Sequence[Route]:
        """Return the operations of the services whose requests are signed with this name."""
        return [route for route in self.routes if route.operation.api.signing_name == signing_name]

    def kind(self, name: str) -> Kind | None:
        """Return the kind of this name, None where it is not served here."""
        return next((route.kind for route in self.routes if route.kind.name == name), None)

    def route_for(self, name: str) -> Route:
        """Return the operation by which the watcher reads tasks of a kind. Raises KeyError for a kind that is not served here."""
        found = {route.batched: route for route in self.routes if route.kind.name == name}
        if not found:
            raise KeyError(name)
        return found.get(True) or found[False]

    def _routes_of(self, kind: Kind) -> Iterator[Route]:
        api = load_api(kind.service)
        if kind.batch is not None:
            yield self._route(kind, api.operation(kind.batch.operation), batched=True)
        if kind.batch is None or kind.batch.operation != kind.operation:
            yield self._route(kind, api.operation(kind.operation), batched=False)

    def _route(self, kind: Kind, operation: Operation, *, batched: bool) -> Route:
        return Route(kind, operation, batched, Contents(kind, operation, batched=batched, mark=self._mark))
