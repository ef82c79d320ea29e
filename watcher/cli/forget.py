"""`watcher forget`: erases tasks from the store, one by its key or all with the same value of a parameter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.options import config_option
from watcher.cli.store_access import StoreAccess
from watcher.cli.tables import counted

if TYPE_CHECKING:
    from watcher.query import Selection


@click.command()
@click.argument("key", required=False)
@config_option(among="key")
@click.option("--connector", metavar="ID", help="All tasks with this VoiceConnectorId.")
@click.option("--kind", metavar="NAME", help="All tasks of this kind that match --param.")
@click.option("--param", metavar="NAME=VALUE", help="The parameter and the value that the tasks of --kind must have.")
def forget(key: str | None, config: Path, connector: str | None, kind: str | None, param: str | None) -> None:
    """Erase tasks from the store.

    This cannot be undone. Erases one task (KEY is VoiceConnectorId/TaskId, a
    key as watcher tasks shows it, or the ARN of a task), all tasks of a voice
    connector (--connector), or all tasks of a kind with the same value of a
    parameter (--kind and --param).

    Their watches, events and dead letters are erased, and a running watcher
    stops polling them within a second. Events that sinks have received stay
    there. A dead letter of an input belongs to no task: it stays until it is
    purged, or until watch.retention has passed.

    \b
    Examples:
      watcher forget abc123/2f0e
      watcher forget --connector abc123 watcher.yaml
      watcher forget --kind voice-tone --param VoiceConnectorId=abc123
    """
    if [key is not None, connector is not None, kind is not None or param is not None].count(True) != 1:
        raise click.BadParameter("give one of: KEY; --connector; --kind with --param", param_hint="KEY")
    access = StoreAccess(config)
    selection = _selection(access, key, connector, kind, param)
    count = access.run(lambda store: store.forget(selection))
    if count:
        click.echo(f"Erased {counted(count, 'task')} with events and dead letters.")
    else:
        click.echo("No such task in the store; nothing was erased.")


def _selection(access: StoreAccess, key: str | None, connector: str | None, kind: str | None, param: str | None) -> Selection:
    from watcher.errors import InvalidInput
    from watcher.queries.selection import select_by_param
    from watcher.query import Selection

    if key is not None:
        return Selection(key=access.key_of(key))
    if connector is not None:
        return Selection(param=0, value=connector)
    name, _, value = (param or "").partition("=")
    if not kind or not name or not value:
        raise click.BadParameter("give both --kind NAME and --param NAME=VALUE", param_hint="--kind")
    try:
        return select_by_param(access.catalog, kind, name, value)
    except InvalidInput as error:
        raise click.BadParameter(error.detail, param_hint="--kind" if error.reason == "kind" else "--param") from None
