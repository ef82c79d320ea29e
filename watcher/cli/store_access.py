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
    """The store of one configuration, and its kinds. Reads `store`, `kinds` and the given sections only. Raises ConfigMistakes."""

    def __init__(self, config: Path, *sections: str) -> None:
        from watcher.config import catalog_of, read_sections

        self._config = config
        self.settings = read_sections(config, os.environ, ("store", "kinds", *sections))
        self.catalog = catalog_of(self.settings)

    def key_of(self, text: str) -> str:
        """Return the key of a task, also of one whose target is no longer configured. Raises InvalidInput for a text that names no task."""
        from watcher.config import read_sections
        from watcher.core.intake.references import parse_ref
        from watcher.core.intake.scopes import Targets
        from watcher.model import DEFAULT_TARGET, Scope

        targets = read_sections(self._config, os.environ, ("targets",)).targets if "arn:" in text else ()
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None
        scopes = {DEFAULT_TARGET: Scope(region), **{target.name: Scope(target.region, target.account) for target in targets}}
        return parse_ref(text, self.catalog, Targets(scopes, others=True)).key

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
