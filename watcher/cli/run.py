"""`watcher run`: the service. `service_process.py` runs it under signals."""

from __future__ import annotations

from pathlib import Path

import click

from watcher.cli.options import Exit, config_option


@click.command()
@config_option("The configuration file; check it with watcher config check.")
def run(config: Path) -> None:
    """Poll tasks and deliver an event for every status change.

    With finite sources (files, stdin), the command ends with exit code 0 when
    every watch has ended and every event is delivered. With a queue, it runs
    until SIGTERM or SIGINT; then it stops within limits.stop_deadline, with exit
    code 143 or 130. A second signal ends it at once. SIGHUP checks the
    configuration file and logs the result; a changed file takes effect at the
    next start.

    \b
    Example:
      watcher run watcher.yaml
    """
    from watcher.cli.service_process import run_service

    raise Exit(run_service(config))
