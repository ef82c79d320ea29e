"""`watcher demo`: the whole service on loopback, against a simulated voice service. `demo_run.py` and `demo_serve.py`
implement it."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource
from click.exceptions import Exit


@click.command()
@click.option("--tasks", metavar="N", type=click.IntRange(1, 5000), default=60, help="The number of speaker searches to start.")
@click.option(
    "--quota", metavar="RATE", type=click.FloatRange(min=0.5), default=10.0, help="Calls per second that the simulated service allows."
)
@click.option("--seed", metavar="N", type=int, default=0, help="With the same seed, the tasks have the same statuses and times.")
@click.option("--serve", is_flag=True, help="Keep running until Ctrl-C, and serve a page.")
@click.option("--port", metavar="PORT", type=click.IntRange(0, 65535), default=8080, help="With --serve: the port; 0: any free port.")
@click.option(
    "--state",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    show_default="~/.local/state/watcher-demo",
    help="With --serve: where the state is kept.",
)
@click.pass_context
def demo(context: click.Context, tasks: int, quota: float, seed: int, serve: bool, port: int, state: Path | None) -> None:
    """Run the watcher against a simulated service.

    Starts a simulated Amazon Chime SDK Voice with a small quota and some
    faults, starts speaker searches on it, and watches them. Everything is on
    loopback and in a temporary directory; no AWS account is used. Ends after
    about 40 s.

    With --serve, it starts new searches until Ctrl-C, and serves the HTTP API
    and the page. It prints how to open the page, follow the events, and submit
    a task. It keeps its state, so after a stop or a kill the same command
    continues. --tasks is the number of searches in the first 12 s.

    \b
    Examples:
      watcher demo --tasks 20
      watcher demo --serve --port 8081
    """
    from watcher.cli.demo_run import DemoOptions, run_demo

    options = DemoOptions(tasks, quota, seed)
    if serve:
        from watcher.cli.demo_serve import serve_demo

        raise Exit(serve_demo(options, port, state))
    if any(context.get_parameter_source(name) == ParameterSource.COMMANDLINE for name in ("port", "state")):
        raise click.UsageError("--port and --state need --serve: without it, nothing is served, and no state is kept")
    raise Exit(run_demo(options))
