"""What the commands about a store share: its configuration, its store, and how tasks are named. They never become its owner."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import typer

from watcher.adapters.aws.session import AwsClients
from watcher.config import Settings, read
from watcher.core.intake.submissions import parse_ref
from watcher.kinds.catalog import builtin_catalog
from watcher.ports import Store
from watcher.registry import STORES, AdapterContext

T = TypeVar("T")

Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration of the watcher; its store is read.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]


def consult(config: Path, question: Callable[[Settings, Store], Awaitable[T]]) -> T:
    """What `question` finds out from the store of a configuration, also while a watcher runs on it.

    Raises ConfigMistakes, and StoreRefused where there is no store yet.
    """
    return anyio.run(_attached, read(config, os.environ).settings, question)


async def _attached(settings: Settings, question: Callable[[Settings, Store], Awaitable[T]]) -> T:
    aws = AwsClients()
    store: Store = STORES[settings.store.type].build(settings.store, AdapterContext(aws, time.time))
    try:
        await store.attach()
        return await question(settings, store)
    finally:
        await store.close()
        await aws.close()


def key_of(text: str) -> str:
    """The key of `VC/TASK`, `kind/VC/TASK` or a key. Raises InvalidInput."""
    return parse_ref(text, builtin_catalog()).key


def print_json(value: Any) -> None:
    """One JSON value on stdout. ASCII, so that nothing in it reaches a terminal as anything but text."""
    typer.echo(json.dumps(value, indent=2))
