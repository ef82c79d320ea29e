"""The kinds that this process can watch. Built from YAML, and passed to what needs it: no module reads a global table."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from watcher.errors import ConfigMistakes
from watcher.kinds.kind import Kind, Quota

DEFAULT_KIND = "speaker-search"
"""The kind of a message that names none and has the identifiers of no other."""


class Catalog:
    """Kinds by name, in a fixed order. Raises ConfigMistakes for kinds that contradict each other.

    `default` names the kind of a message that says none; without it, that is the first one.
    """

    kinds: Mapping[str, Kind]
    quotas: Mapping[str, Quota]
    """By name. Each belongs to one or more kinds."""
    default: Kind
    services: frozenset[str]
    """The AWS services that are polled, as botocore names them."""

    def __init__(self, kinds: Iterable[Kind], default: str | None = None) -> None:
        kinds = list(kinds)
        if mistakes := list(_contradictions(kinds, default)):
            raise ConfigMistakes(mistakes)
        self.kinds = {kind.name: kind for kind in kinds}
        self.quotas = {kind.quota.name: kind.quota for kind in kinds}
        self.default = kinds[0] if default is None else self.kinds[default]
        self.services = frozenset(kind.service for kind in kinds)

    @property
    def default_quotas(self) -> Sequence[Quota]:
        """The quotas of the default kind's service, which are reported from the start on.

        All others are reported from their first watch on: a catalog has dozens of quotas, and a watcher uses a few of them.
        """
        return list({kind.quota.name: kind.quota for kind in self if kind.service == self.default.service}.values())

    def get(self, name: str) -> Kind | None:
        """The kind of this name, None where there is none."""
        return self.kinds.get(name)

    def __getitem__(self, name: str) -> Kind:
        return self.kinds[name]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.kinds.values())

    def __len__(self) -> int:
        return len(self.kinds)

    def __contains__(self, name: object) -> bool:
        return name in self.kinds


@functools.cache
def builtin_catalog() -> Catalog:
    """The kinds that are shipped with the package. They are read at the first call."""
    from watcher.kinds.kind_files import read_kinds  # with pydantic and ruamel.yaml: not every command needs the catalog

    return Catalog(_in_order(read_kinds(builtin_texts())), DEFAULT_KIND)


def builtin_texts() -> Mapping[str, str]:
    """The YAML texts of the kinds that are shipped with the package, by the names of their files. Each has one kind."""
    from importlib.resources import files

    texts = sorted((file.name, file.read_text("utf-8")) for file in (files("watcher.kinds") / "builtin").iterdir())
    return {name: text for name, text in texts if name.endswith(".yaml")}


def _in_order(kinds: Sequence[Kind]) -> Sequence[Kind]:
    """The kinds of the default kind's service first, then by name: a reply that fits kinds of several services is one of them."""
    first = next(kind.service for kind in kinds if kind.name == DEFAULT_KIND)
    return sorted(kinds, key=lambda kind: (kind.service != first, kind.name))


def _contradictions(kinds: Sequence[Kind], default: str | None) -> Iterator[str]:
    names: set[str] = set()
    quotas: dict[str, Kind] = {}
    for kind in kinds:
        if kind.name in names:
            yield f"two kinds are named {kind.name}; rename one"
        names.add(kind.name)
        first = quotas.setdefault(kind.quota.name, kind)
        if (first.quota, first.service) != (kind.quota, kind.service):
            yield f"the kinds {first.name} and {kind.name} share the quota {kind.quota.name}; give it the same title and service"
    if not kinds:
        yield "there are no kinds; declare at least one"
    elif default is not None and default not in names:
        yield f"the default kind {default} is not declared; add it"
