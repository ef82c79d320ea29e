"""`watcher config`: checks a configuration, shows the settings in effect, and prints the JSON Schema for editors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.exit_codes import CONFIG
from watcher.cli.options import Exit, config_option
from watcher.cli.tables import counted

if TYPE_CHECKING:
    from watcher.errors import ConfigMistakes


@click.group()
def config() -> None:
    """Check, show and describe configurations."""


@config.command()
@config_option("The configuration file to check.")
def check(config: Path) -> None:
    """Check the configuration file FILE.

    Prints one line for each mistake (file, line, key, what is wrong, what to
    do) and exits with 78. Environment variables apply as for watcher run.
    Creates no files.

    \b
    Example:
      watcher config check watcher.yaml
    """
    from watcher.config import read
    from watcher.errors import ConfigMistakes

    try:
        settings = read(config, os.environ, paths=True).settings
    except ConfigMistakes as mistakes:
        raise _exit(mistakes) from None
    sources, sinks = counted(len(settings.sources), "source"), counted(len(settings.sinks), "sink")
    click.echo(f"{config}: valid; {sources}, store {settings.store.type}, {sinks}")


@config.command("show")
@config_option("The configuration file to show. Without one, the defaults are shown.", required=False)
@click.option("--defaults", is_flag=True, help="Show the defaults of all settings, whatever files there are.")
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
    """Print the environment variables that the configuration refers to.

    Prints the name in each reference ${NAME} or ${NAME:-default}, one on a line:
    what to set for a container or a service. Reads no variable.

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
@click.option("--messages", is_flag=True, help="Print the JSON Schema of the input messages instead.")
def schema_command(messages: bool) -> None:
    """Print the JSON Schema of the configuration file.

    An editor that supports YAML schemas checks and completes the file with it.
    With --messages, the schema describes the messages that name tasks: check
    with it what you send to the queue.

    \b
    Examples:
      watcher config schema > watcher.schema.json
      watcher config schema --messages > message.schema.json
    """
    if messages:
        from watcher.core.intake.message_schema import message_schema
        from watcher.kinds.catalog import builtin_catalog

        click.echo(json.dumps(message_schema(builtin_catalog()), indent=2))
        return
    from watcher.config import schema

    click.echo(json.dumps(schema(), indent=2))


def _exit(mistakes: ConfigMistakes) -> Exit:
    for line in mistakes.mistakes:
        click.echo(line, err=True)
    return Exit(CONFIG)
