"""The kinds that can be served, with the API models of their services. Built at the first request about one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
        self._by_name: Mapping[str, Kind] | None = None
        self._routes: dict[str, Sequence[Route]] = {}
        """The operations by which each kind is read, by its name."""

    @property
    def by_name(self) -> Mapping[str, Kind]:
        """The kinds by name. Those that come later in the catalog are first, so that a user's kind precedes a shipped one."""
        if self._by_name is None:
            self._by_name = {kind.name: kind for kind in reversed(list(self._kinds())) if kind.name not in SIMULATED_KINDS}
        return self._by_name

    def signed_as(self, signing_name: str) -> Sequence[Route]:
        """Return the operations of the services whose requests are signed with this name. Loads all API models at the first call.

        Raises ValueError for a kind that does not fit the API model of its service.
        """
        routes = [route for name in self.by_name for route in self.routes_of(name)]
        return [route for route in routes if route.operation.api.signing_name == signing_name]

    def routes_of(self, name: str) -> Sequence[Route]:
        """Return the operations by which tasks of a kind are read: first the one about most tasks, then any other about one task.

        Raises KeyError for a kind that is not served here, ValueError for one that does not fit the API model of its service.
        """
        if name not in self._routes:
            kind = self.by_name[name]
            api = load_api(kind.service)
            calls = [] if kind.batch is None else [(kind.batch.operation, True)]
            if kind.batch is None or kind.batch.operation != kind.operation:
                calls.append((kind.operation, False))
            self._routes[name] = [self._route(kind, api.operation(method), batched=batched) for method, batched in calls]
        return self._routes[name]

    def _route(self, kind: Kind, operation: Operation, *, batched: bool) -> Route:
        return Route(kind, operation, batched, Contents(kind, operation, batched=batched, mark=self._mark))
