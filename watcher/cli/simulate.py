"""`watcher simulate`: the fake voice service on a port, until it is told to stop."""

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

_FAULT_HELP = f"Share of calls that go wrong in this way, as NAME=RATE; may be repeated. Names: {', '.join(FAULTS)}."
_DURATIONS_HELP = "How long tasks run, or queue=LAW,run=LAW. Laws: 3, uniform(5,15), lognormal(10,0.8), 10+exponential(4), never, …"


def simulate(
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes any free port.", min=0, max=65535)] = 8181,
    host: Annotated[str, typer.Option(help="On which address to listen.")] = "127.0.0.1",
    quota: Annotated[float | None, typer.Option(help="Calls per second for each kind of task; more are throttled.", min=0)] = None,
    burst: Annotated[float | None, typer.Option(help="Calls of credit above the quota.", min=0)] = None,
    durations: Annotated[str, typer.Option(help=_DURATIONS_HELP)] = "queue=exponential(1),run=10+exponential(4)",
    latency: Annotated[str, typer.Option(help="A law for the time to a reply, in seconds.")] = "uniform(0.02,0.06)",
    fault: Annotated[list[str] | None, typer.Option(help=_FAULT_HELP)] = None,
    partial: Annotated[float, typer.Option(help="Share of tasks that pass PARTIAL_SUCCESS.", min=0, max=1)] = 0.2,
    failed: Annotated[float, typer.Option(help="Share of tasks that fail.", min=0, max=1)] = 0.05,
    stopped: Annotated[float, typer.Option(help="Share of tasks that stop by themselves.", min=0, max=1)] = 0.05,
    known_only: Annotated[
        bool,
        typer.Option("--known-only", help="Only tasks begun with a Start call exist; without it a task begins when first asked about."),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same lives to the same task ids.")] = 0,
) -> None:
    """Serve a fake Amazon Chime SDK Voice on a port, and print the variables that point any AWS SDK at it.

    Tasks live by a seeded law and begin when first asked about, or with
    StartSpeakerSearchTask. Signatures are checked, a second call about a task
    at the same time is a ConflictException, and a task id that begins with
    "missing-" is never found.

    Example:

        watcher simulate --quota 10 --fault 503=0.02
    """
    try:
        scenario = Scenario(
            seed=seed,
            quota=quota,
            burst=burst,
            latency=_parsed("--latency", parse_distribution, latency),
            durations=_parsed("--durations", parse_durations, durations),
            faults=_parsed("--fault", parse_faults, fault or []),
            partial=partial,
            failed=failed,
            stopped=stopped,
            known_only=known_only,
        )
    except ValidationError as error:
        raise typer.BadParameter("; ".join(mistake["msg"] for mistake in error.errors())) from None
    try:
        anyio.run(_serve, scenario, host, port)
    except OSError as error:
        typer.echo(f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port, or --port 0 for any.", err=True)
        raise typer.Exit(UNAVAILABLE) from None


def _parsed(option: str, parse: Callable[..., T], written: object) -> T:
    try:
        return parse(written)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


async def _serve(scenario: Scenario, host: str, port: int) -> None:
    """Until SIGINT or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serve(VoiceService(scenario, time.time), host, port) as sim:
            _announce(sim)
            async for _ in signals:
                break
        answers = "".join(f", {count} {outcome}" for outcome, count in sorted(sim.stats.outcomes.items()))
        typer.echo(f"# {sim.stats.requests} requests about {len(sim.tasks)} tasks{answers}", err=True)


def _announce(sim: Simulator) -> None:
    typer.echo(f"# A fake Amazon Chime SDK Voice, seed {sim.service.scenario.seed}. Point any AWS SDK at it with")
    for name, value in sim.environment.items():
        typer.echo(f"export {name}={value}")
    typer.echo("# Ctrl-C stops it.")
