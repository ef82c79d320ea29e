"""`watcher simulate`: serves the fake voice service on a port until SIGINT or SIGTERM."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import anyio
import typer
from pydantic import ValidationError

from watcher.cli.exit_codes import UNAVAILABLE
from watcher.simulator import Scenario, Simulator, VoiceService, serve
from watcher.simulator.distributions import parse_distribution, parse_durations
from watcher.simulator.faults import FAULTS, parse_faults

T = TypeVar("T")

_FAULT_HELP = f"Share of calls with this fault (404: share of tasks), as NAME=RATE; repeatable. Names: {', '.join(FAULTS)}."
_DURATIONS_HELP = (
    "How long tasks run, in seconds: 3, uniform(5,15), lognormal(10,0.8), 10+exponential(4), never, … Or queue=…,run=…, to set both."
)


def simulate(
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free port.", min=0, max=65535)] = 8181,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    quota: Annotated[float | None, typer.Option(help="Calls per second for each kind of task; further calls are throttled.", min=0)] = None,
    burst: Annotated[
        float | None, typer.Option(help="Calls allowed at once; by default as many as the quota allows in one second.", min=0)
    ] = None,
    durations: Annotated[str, typer.Option(help=_DURATIONS_HELP)] = "queue=exponential(1),run=10+exponential(4)",
    latency: Annotated[
        str, typer.Option(help="Time from a request to its reply, in seconds; same forms as --durations.")
    ] = "uniform(0.02,0.06)",
    fault: Annotated[list[str] | None, typer.Option(help=_FAULT_HELP)] = None,
    partial: Annotated[float, typer.Option(help="Share of successful tasks with PARTIAL_SUCCESS before SUCCEEDED.", min=0, max=1)] = 0.2,
    failed: Annotated[float, typer.Option(help="Share of tasks that end FAILED.", min=0, max=1)] = 0.05,
    stopped: Annotated[float, typer.Option(help="Share of tasks that end STOPPED without a Stop call.", min=0, max=1)] = 0.05,
    known_only: Annotated[
        bool,
        typer.Option("--known-only", help="Only tasks from a Start call exist. Otherwise the first Get of a task creates it."),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same task ids the same statuses and times.")] = 0,
) -> None:
    """Serve a fake Amazon Chime SDK Voice on a port, and print the environment variables that point any AWS SDK at it.

    The first Get of a task id creates the task, and so does a Start call.
    The seed and the id determine its statuses and times. Signatures are
    checked, a second call for a task at the same time gets a
    ConflictException, and a task id that begins with "missing-" is never found.

    Example:

        watcher simulate --quota 10 --fault 503=0.02
    """
    try:
        scenario = Scenario(
            seed=seed,
            quota=quota,
            burst=burst,
            latency=_parse("--latency", parse_distribution, latency),
            durations=_parse("--durations", parse_durations, durations),
            faults=_parse("--fault", parse_faults, fault or []),
            partial=partial,
            failed=failed,
            stopped=stopped,
            known_only=known_only,
        )
    except ValidationError as error:
        raise typer.BadParameter("; ".join(each["msg"] for each in error.errors())) from None
    try:
        anyio.run(_serve, scenario, host, port)
    except OSError as error:
        typer.echo(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Set another port with --port, or --port 0 for any free port.",
            err=True,
        )
        raise typer.Exit(UNAVAILABLE) from None


def _parse(option: str, parse: Callable[..., T], written: object) -> T:
    try:
        return parse(written)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


async def _serve(scenario: Scenario, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, then print a summary."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve(VoiceService(scenario, time.time), host, port) as sim:
            _print_environment(sim)
            async for _ in signals:
                break
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(sim.stats.outcomes.items()))
        typer.echo(f"# requests: {sim.stats.requests}, tasks: {len(sim.tasks)}, outcomes: {outcomes or 'none'}", err=True)


def _print_environment(sim: Simulator) -> None:
    typer.echo(f"# A fake Amazon Chime SDK Voice, seed {sim.service.scenario.seed}. To point any AWS SDK at it:")
    for name, value in sim.environment.items():
        typer.echo(f"export {name}={value}")
    typer.echo("# Press Ctrl-C to stop.")
