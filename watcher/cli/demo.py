"""`watcher demo`: the whole service on loopback, against a simulated voice service. `demo_run.py` does the work."""

from __future__ import annotations

import click
from click.exceptions import Exit


@click.command()
@click.option("--tasks", metavar="N", type=click.IntRange(1, 5000), default=60, help="The number of speaker searches to start.")
@click.option(
    "--quota", metavar="RATE", type=click.FloatRange(min=0.5), default=10.0, help="Calls per second that the simulated service allows."
)
@click.option("--seed", metavar="N", type=int, default=0, help="With the same seed, the tasks have the same statuses and times.")
@click.option("--serve", is_flag=True, help="Serve /readyz and /metrics on port 8080, and keep running until Ctrl-C.")
def demo(tasks: int, quota: float, seed: int, serve: bool) -> None:
    """Run the watcher against a simulated service.

    Starts a simulated Amazon Chime SDK Voice with a small quota and some
    faults, starts speaker searches on it, and watches them. Everything is on
    loopback and in a temporary directory; no AWS account is used. Ends after
    about 40 s.

    \b
    Example:
      watcher demo --tasks 20
    """
    from watcher.cli.demo_run import DemoOptions, run_demo

    raise Exit(run_demo(DemoOptions(tasks, quota, seed, serve)))
