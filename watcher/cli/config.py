"""`watcher config`: checks a configuration, shows the settings in effect, and prints the JSON Schema for editors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from watcher.cli.command_table import CommandGroup
from watcher.cli.exit_codes import CONFIG
from watcher.cli.kind_catalog import catalog_for
from watcher.cli.options import config_option
from watcher.cli.tables import counted, sentence

if TYPE_CHECKING:
    from watcher.config import Settings
    from watcher.errors import ConfigMistakes


@click.group(cls=CommandGroup)
def config() -> None:
    """Check, show and describe configurations."""


@config.command()
@config_option("The configuration file to check.")
@click.option("--store", "with_store", is_flag=True, help="Also report removed sinks for which the store still has events.")
def check(config: Path, with_store: bool) -> None:
    """Check the configuration file FILE.

    Prints one line for each mistake (file, line, key, what is wrong, what to
    do) and exits with 78. Environment variables apply as for watcher run.
    Compares the kinds in the file with the API models of the AWS SDK. Creates
    no files. A queue, topic or bus in another Region than the configured one is
    printed as a note on stderr, and so are digests without a key
    (events.results: hashed). These are not mistakes.

    \b
    Example:
      watcher config check watcher.yaml
    """
    from watcher.cli.privacy_notes import privacy_notes
    from watcher.cli.region_notes import region_notes
    from watcher.config import read
    from watcher.errors import ConfigMistakes

    try:
        loaded = read(config, os.environ, paths=True, apis=True)
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    settings = loaded.settings
    for note in [*region_notes(loaded), *privacy_notes(loaded)]:
        sentence(note, err=True)
    if with_store and (removed := _removed_sinks(config, settings)):
        sentence(removed, err=True)
        raise Exit(CONFIG)
    click.echo(f"{config}: valid; {_summary(settings)}")


def _summary(settings: Settings) -> str:
    """What a configuration has, in one line. Kinds and targets only if there are any."""
    parts = [counted(len(settings.sources), "source"), f"store {settings.store.type}", counted(len(settings.sinks), "sink")]
    if settings.kinds:
        parts.append(counted(len(settings.kinds), "own kind"))
    if settings.targets:
        parts.append(counted(len(settings.targets), "target"))
    return ", ".join(parts)


def _removed_sinks(config: Path, settings: Settings) -> str:
    """What would make watcher run fail: events in the store for sinks that are not configured, one line a sink. Creates no store."""
    from watcher.cli.store_access import StoreAccess
    from watcher.errors import SinksRemoved
    from watcher.queries.removed_sinks import removed_sinks
    from watcher.section import local_file

    path = local_file(settings.store)
    if path in (None, ":memory:") or not Path(str(path)).exists():
        return ""
    names = {sink.name for sink in settings.sinks}
    left = StoreAccess(config).run(lambda store: removed_sinks(store, names))
    return str(SinksRemoved({name: str(each) for name, each in left.items()}))


@config.command("show")
@config_option("The configuration file to show. If there is none, the defaults are shown.", required=False)
@click.option("--defaults", is_flag=True, help="Show the defaults of all settings. Reads no file.")
def show_command(config: Path | None, defaults: bool) -> None:
    """Print the settings in effect as YAML.

    Each value has a comment that says where it is set: a line of the file, an
    environment variable, or the default. Secrets are masked.

    \b
    Example:
      watcher config show watcher.yaml
    """
    from watcher.config import defaults as default_settings
    from watcher.config import read, show
    from watcher.errors import ConfigMistakes

    try:
        loaded = read(config, os.environ) if config and not defaults else default_settings()
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    click.echo(show(loaded), nl=False)


@config.command("variables")
@config_option("The configuration file.")
def variables_command(config: Path) -> None:
    """Print the environment variables that a file refers to.

    Prints the name in each reference ${NAME} or ${NAME:-default}, one on a line.
    Set these variables for a container or a service. Reads no variable.

    \b
    Example:
      watcher config variables watcher.yaml
    """
    from watcher.config import variables
    from watcher.errors import ConfigMistakes

    try:
        names = variables(config)
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    for name in names:
        click.echo(name)


@config.command("schema")
@config_option("With --messages and --events: the configuration whose kinds to include.", required=False)
@click.option("--messages", is_flag=True, help="Print the JSON Schema of the input messages instead.")
@click.option("--events", is_flag=True, help="Print the JSON Schema of the events instead.")
def schema_command(config: Path | None, messages: bool, events: bool) -> None:
    """Print the JSON Schema of the configuration file.

    An editor that supports YAML schemas checks and completes the file with it.
    With --messages, the schema describes the messages that name tasks: use it
    to check what you send to the queue. With --events, it describes the events
    that the sinks and the HTTP API deliver. Both include the kinds of the
    configuration, if there is one.

    \b
    Examples:
      watcher config schema > watcher.schema.json
      watcher config schema --messages > message.schema.json
      watcher config schema --events > event.schema.json
    """
    if messages and events:
        raise click.UsageError("--messages and --events exclude each other; use one of them")
    click.echo(json.dumps(_schema(config, messages, events), indent=2))


def _schema(config: Path | None, messages: bool, events: bool) -> dict[str, Any]:
    if messages:
        from watcher.cli.target_scopes import targets_for
        from watcher.core.intake.message_schema import message_schema
        from watcher.model import DEFAULT_TARGET

        return message_schema(catalog_for(config), [name for name in targets_for(config).scopes if name != DEFAULT_TARGET])
    if events:
        from watcher.core.delivery.event_schema import event_schema

        return event_schema(catalog_for(config))
    from watcher.config import schema

    return schema()


def _exit(mistakes: ConfigMistakes) -> Exit:
    for line in mistakes.mistakes:
        sentence(line, err=True)
    return Exit(CONFIG)
