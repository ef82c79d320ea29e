"""`watcher config`: check a configuration before it runs, see what it comes to, describe it to an editor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from watcher.cli.exit_codes import CONFIG
from watcher.config import defaults, read, schema, show
from watcher.errors import ConfigMistakes

app = typer.Typer(help="Check, show and describe configurations.", no_args_is_help=True)


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file to check.")]) -> None:
    """Look for every mistake in FILE, under the present environment.

    Prints one line for each mistake, `file:line: key: what is wrong, what would
    be right`, and exit_codes 78; or says that all is well. Creates nothing.
    """
    try:
        settings = read(file, os.environ, paths=True).settings
    except ConfigMistakes as mistakes:
        raise _refuse(mistakes) from None
    sources, sinks = len(settings.sources), len(settings.sinks)
    typer.echo(f"{file}: good; {sources} source{'s' * (sources != 1)}, store {settings.store.type}, {sinks} sink{'s' * (sinks != 1)}")


@app.command("show")
def show_(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The YAML file; without it, the defaults are shown.")
    ] = None,
) -> None:
    """Print the settings in effect as YAML: each value with its line, its variable or `default`; secrets are masked."""
    try:
        loaded = read(config, os.environ) if config else defaults()
    except ConfigMistakes as mistakes:
        raise _refuse(mistakes) from None
    typer.echo(show(loaded), nl=False)


@app.command("schema")
def schema_() -> None:
    """Print the JSON Schema of the configuration file.

    An editor that speaks YAML checks and completes with it: `watcher config schema > watcher.schema.json`.
    """
    typer.echo(json.dumps(schema(), indent=2))


def _refuse(mistakes: ConfigMistakes) -> typer.Exit:
    for line in mistakes.mistakes:
        typer.echo(line, err=True)
    return typer.Exit(CONFIG)
