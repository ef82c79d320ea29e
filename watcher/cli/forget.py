"""`watcher forget`: erase what the store holds about a task, or about all tasks of a voice connector."""

from __future__ import annotations

from typing import Annotated

import typer

from watcher.cli.store_access import Config, consult, key_of
from watcher.cli.tables import counted
from watcher.query import Selection


def forget(
    config: Config,
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="VC/TASK, kind/VC/TASK, or a key as `watcher tasks` shows it.")] = None,
    connector: Annotated[str | None, typer.Option(metavar="ID", help="All tasks of this VoiceConnectorId instead.")] = None,
) -> None:
    """Erase a task, or all tasks of a voice connector. It cannot be undone.

    Their watches, events and dead letters are overwritten in the store. A
    running watcher stops asking about them within a second. What sinks have
    already received stays with them, and an input that could not be read stays
    a dead letter until it is purged: nobody knows which task it meant.

    Examples:

        watcher forget abc123/2f0e --config watcher.yaml

        watcher forget --connector abc123 --config watcher.yaml
    """
    if (key is None) == (connector is None):
        raise typer.BadParameter("name one task, or a voice connector with --connector", param_hint="KEY")
    selection = Selection(value=connector) if key is None else Selection(key=key_of(key))
    count = consult(config, lambda _, store: store.forget(selection))
    if count:
        typer.echo(f"{counted(count, 'task')} erased, with events and dead letters")
    else:
        typer.echo("no such task was there: nothing to erase")
