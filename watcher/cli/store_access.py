"""Access to the store of a configuration for commands, also while a watcher runs on it. A command never owns the store."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from watcher.ports import Store

T = TypeVar("T")

SHARE = "to run several, set store.type to postgres"


class StoreAccess:
    """The store of one configuration, and its kinds. Reads `store`, `kinds`, `targets`, and the given sections. Raises ConfigMistakes."""

    def __init__(self, config: Path, *sections: str) -> None:
        from watcher.config import catalog_of, read_sections

        self.settings = read_sections(config, os.environ, ("store", "kinds", "targets", *sections))
        self.catalog = catalog_of(self.settings)

    def key_of(self, text: str) -> str:
        """Return the key of a task, whose target may not be configured any more. Raises InvalidInput for a text that names no task.

        Prints a warning on stderr for a text that seems to name a kind that does not exist.
        """
        from watcher.cli.kind_catalog import warn_of_misread_kinds
        from watcher.cli.target_scopes import targets_of
        from watcher.core.intake.references import parse_ref

        key = parse_ref(text, self.catalog, targets_of(self.settings, None, others=True)).key
        warn_of_misread_kinds([text], self.catalog)
        return key

    def run(self, work: Callable[[Store], Awaitable[T]], *, shared: bool = False) -> T:
        """Open the store, run `work` on it, and close it. Raises StoreRefused where there is no store yet.

        `shared`: the work needs a store that several replicas can share. Raises StoreRefused for any other one.
        """
        from watcher.cli.event_loop import run

        return run(partial(self._attached, work, shared))

    async def _attached(self, work: Callable[[Store], Awaitable[T]], shared: bool) -> T:
        from watcher.adapters.aws.session import AwsClients
        from watcher.errors import StoreRefused
        from watcher.registry import STORES, AdapterContext

        aws = AwsClients()
        store: Store = STORES[self.settings.store.type].build(self.settings.store, AdapterContext(aws, time.time))
        if shared and store.renew_s is None:
            raise StoreRefused(f"a store of type {self.settings.store.type} has a single owner, so it has no replicas: {SHARE}")
        try:
            await store.attach()
            return await work(store)
        finally:
            await store.close()
            await aws.close()


def print_json(value: Any) -> None:
    """Print one JSON value on stdout, in ASCII, so that no character in it can control the terminal."""
    click.echo(json.dumps(value, indent=2))
