"""`watcher config`: checks a configuration, shows the settings in effect, and prints the JSON Schema for editors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.exit_codes import CONFIG
from watcher.cli.options import FILE, Exit
from watcher.cli.tables import counted

if TYPE_CHECKING:
    from watcher.config import Settings
    from watcher.errors import ConfigMistakes


@click.group()
def config() -> None:
    """Check, show and describe configurations."""


@config.command()
@click.argument("file", type=FILE)
@click.option("--store", "with_store", is_flag=True, help="Also read the store: are events left for a sink that was removed?")
def check(file: Path, with_store: bool) -> None:
    """Check the configuration file FILE.

    Prints one line for each mistake (file, line, key, what is wrong, what to
    do) and exits with 78. Environment variables apply as for watcher run.
    Creates no files. A queue, topic or bus in another Region than the
    configured one is noted on stderr, and is no mistake.

    \b
    Example:
      watcher config check watcher.yaml
    """
    from watcher.cli.region_notes import region_notes
    from watcher.config import read
    from watcher.errors import ConfigMistakes

    try:
        loaded = read(file, os.environ, paths=True)
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    settings = loaded.settings
    for note in region_notes(loaded):
        click.echo(note, err=True)
    if with_store and (removed := _removed_sinks(file, settings)):
        click.echo(removed, err=True)
        raise Exit(CONFIG)
    sources, sinks = counted(len(settings.sources), "source"), counted(len(settings.sinks), "sink")
    click.echo(f"{file}: valid; {sources}, store {settings.store.type}, {sinks}")


def _removed_sinks(file: Path, settings: Settings) -> str:
    """What watcher run would refuse: events in the store for sinks that are not configured, one sink on a line. Creates no store."""
    from watcher.cli.store_access import StoreAccess
    from watcher.errors import SinksRemoved
    from watcher.queries.removed_sinks import removed_sinks
    from watcher.section import local_file

    path = local_file(settings.store)
    if path in (None, ":memory:") or not Path(str(path)).exists():
        return ""
    names = {sink.name for sink in settings.sinks}
    left = StoreAccess(file).run(lambda store: removed_sinks(store, names))
    return str(SinksRemoved({name: str(each) for name, each in left.items()}))


@config.command("show")
@click.option("--config", "file", metavar="FILE", type=FILE, help="The YAML file. Without it, the defaults are shown.")
def show_command(file: Path | None) -> None:
    """Print the settings in effect as YAML.

    Each value has a comment that says where it is set: a line of the file, an
    environment variable, or the default. Secrets are masked.

    \b
    Example:
      watcher config show --config watcher.yaml
    """
    from watcher.config import defaults, read, show
    from watcher.errors import ConfigMistakes

    try:
        loaded = read(file, os.environ) if file else defaults()
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    click.echo(show(loaded), nl=False)


@config.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration file.

    An editor that supports YAML schemas checks and completes the file with it.

    \b
    Example:
      watcher config schema > watcher.schema.json
    """
    from watcher.config import schema

    click.echo(json.dumps(schema(), indent=2))


def _exit(mistakes: ConfigMistakes) -> Exit:
    for line in mistakes.mistakes:
        click.echo(line, err=True)
    return Exit(CONFIG)
