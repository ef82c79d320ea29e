"""`watcher store`: copies the content of a store into another one, such as from SQLite to PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.command_table import CommandGroup
from watcher.cli.options import FILE, command_line, config_option
from watcher.cli.tables import counted, facts, sentence

if TYPE_CHECKING:
    from watcher.core.copying.fingerprint import Fingerprint


@click.group(cls=CommandGroup)
def store() -> None:
    """Copy the content of a store into another one."""


@store.command("copy")
@config_option("The configuration of the watcher that is to use the copy.")
@click.option(
    "--from", "source", metavar="FILE", type=FILE, required=True, help="A SQLite file, or a configuration (*.yaml) with the source."
)
@click.option("--dry-run", is_flag=True, help="Print what would be copied, and write nothing.")
def copy(source: Path, config: Path, dry_run: bool) -> None:
    """Copy the content of a store into another one.

    Copies everything from the store of --from into the store of the
    configuration: tasks, open and ended, with their events, which of them each
    sink has settled, dead letters, and what was learned. Then it reads both
    stores and compares them. The source stays as it is.

    Stop the watchers on both stores first. The target must be empty; it is
    created if there is none. If the command is interrupted, no watcher starts on
    the target until you run the same command again and it completes the copy.

    \b
    Examples:
      watcher store copy --from watcher.db --dry-run
      watcher store copy --from watcher.db --config postgres.yaml
      watcher store copy --from old.yaml new.yaml
    """
    from watcher.cli.store_copying import StoreCopying

    copying = StoreCopying(source, config)
    if dry_run:
        _show(copying.survey())
        click.echo("Nothing was written.")
        return
    content = copying.copy()
    _show(content)
    sentence(f"Copied from {source} and verified: both stores have the same content.")
    sentence(f"Next, start the watcher on the copy: {command_line('run', config=config)}")


def _show(content: Fingerprint) -> None:
    facts(
        [
            ("tasks", f"{content.watches}, {content.open} of them open"),
            ("events", str(content.events)),
            *(("undelivered", f"{counted(events, 'event')} for sink {sink}") for sink, events in content.undelivered.items()),
            ("dead letters", str(content.dead_letters)),
            ("learned", counted(content.states, "text")),
        ]
    )
