"""`watcher run`: the service. `service_process.py` runs it under signals."""

from __future__ import annotations

from pathlib import Path

import click
from click.exceptions import Exit

from watcher.cli.options import config_option


@click.command()
@config_option("The configuration file; check it with watcher config check.")
@click.option("--drop-sink", "drop_sinks", metavar="NAME", multiple=True, help="Erase the events of a sink that was removed. Repeatable.")
def run(config: Path, drop_sinks: tuple[str, ...]) -> None:
    """Poll tasks and deliver an event for every status change.

    With finite sources (files, stdin), the command ends with exit code 0 when
    every watch has ended and every event is delivered. With a queue, it runs
    until SIGTERM or SIGINT; then it stops within limits.stop_deadline, with exit
    code 143 or 130. A second signal ends it at once. SIGHUP checks the
    configuration file and logs the result; a changed file takes effect at the
    next start.

    A kind of the configuration that cannot be polled, such as one with a wrong
    operation or path, is an error (exit code 78). The lines are the same as
    those of watcher config check.

    A sink that was renamed or removed, and that has undelivered events or dead
    letters in the store, is an error (exit code 78). --drop-sink NAME erases
    them.

    \b
    Example:
      watcher run watcher.yaml
    """
    from watcher.cli.service_process import run_service

    raise Exit(run_service(config, drop_sinks))
