"""The kinds and the targets of a running watcher, for commands with `--url`: they read a task as that watcher does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from watcher.cli.tables import printable, sentence
from watcher.kinds.catalog import DEFAULT_KIND, Catalog, builtin_catalog
from watcher.kinds.kind import Kind
from watcher.model import Scope

if TYPE_CHECKING:
    from watcher.adapters.api_client import WatcherApi
    from watcher.core.intake.scopes import Targets


@dataclass(frozen=True, slots=True)
class ServerKinds:
    """What a message to one watcher can name."""

    catalog: Catalog
    """The shipped kinds, and those of its configuration."""
    scopes: Mapping[str, Scope]
    """By name, where the tasks of its targets are."""
    summaries: Sequence[dict[str, Any]]
    """Its kinds as `kinds list --json` shows them, each with its declaration if it is one of its configuration."""

    def targets(self, *, others: bool) -> Targets:
        """Return the targets. `others`: a name can also be that of one which is not configured any more."""
        from watcher.core.intake.scopes import Targets

        return Targets(self.scopes, others)


async def fetch_kinds(api: WatcherApi) -> dict[str, Any]:
    """Return the document about kinds and targets. Raises ApiError."""
    return await api.get("/v1/kinds")


def read_kinds(document: dict[str, Any]) -> ServerKinds:
    """Return what the document says. Raises KeyError, TypeError, ValueError, AttributeError for one of another shape.

    Prints a warning on stderr for a kind that this version of the watcher cannot read.
    """
    shipped = builtin_catalog()
    own = [kind for summary in document["kinds"] if summary["own"] and (kind := _own_kind(summary, shipped.kinds)) is not None]
    scopes = {str(each["name"]): Scope(each["region"], each["account"]) for each in document["targets"]}
    return ServerKinds(Catalog([*shipped, *own], DEFAULT_KIND), scopes, document["kinds"])


def _own_kind(summary: Mapping[str, Any], shipped: Collection[str]) -> Kind | None:
    """A kind of the configuration of the server; None for one that a newer version wrote, or whose name ships with this version."""
    from watcher.kinds.form import KindForm

    try:
        if summary["kind"] not in shipped:
            return replace(KindForm.model_validate(summary["declaration"]).kind(), own=True)
    except ValueError:
        pass
    sentence(printable(f"Warning: this version of the watcher cannot read the kind {summary['kind']} of the server"), err=True)
    return None
