"""`watcher simulate`: serves the simulated services on a port until SIGINT or SIGTERM."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.exceptions import Exit

from watcher.cli.exit_codes import UNAVAILABLE
from watcher.cli.options import FILE
from watcher.cli.tables import sentence

if TYPE_CHECKING:
    from watcher.cli.stop_signals import StopSignals
    from watcher.simulator import Scenario, Simulator
    from watcher.simulator.declared import Kinds
    from watcher.simulator.server import OnRequest

T = TypeVar("T")

FAULT_NAMES = (
    "429, throttling, 500, 502, 503, conflict, 404, 403, 401, expired, revoked, reset, hang, slow, drip, half, redirect, empty, html, "
    "garbage, truncated, wrong-id, huge, stale"
)
"""As `watcher.simulator.faults` has them; repeated here so that the help need not import the simulator."""
_FAULT_HELP = f"The share of calls that get this fault (404: the share of tasks). Repeatable. Names: {FAULT_NAMES}."
_DURATIONS_HELP = (
    "How long tasks run, in seconds: 3, uniform(5,15), lognormal(10,0.8), 10+exponential(4) or never; or queue=...,run=... to set both."
)


_SHARE = click.FloatRange(0, 1)
_RATE = click.FloatRange(min=0)


@click.command()
@click.option("--port", metavar="PORT", type=click.IntRange(0, 65535), default=8181, help="The port to listen on; 0: any free port.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="The address to listen on.")
@click.option("--quota", metavar="RATE", type=_RATE, help="Calls per second for each quota; calls above it are throttled.")
@click.option("--burst", metavar="N", type=_RATE, help="Calls at once; by default as many as the quota allows in one second.")
@click.option("--durations", metavar="TEXT", default="queue=exponential(1),run=10+exponential(4)", help=_DURATIONS_HELP)
@click.option(
    "--latency",
    metavar="TEXT",
    default="uniform(0.02,0.06)",
    help="The time from a request to its reply, in seconds; in the same forms as --durations.",
)
@click.option("--fault", metavar="NAME=SHARE", multiple=True, help=_FAULT_HELP)
@click.option(
    "--partial", metavar="SHARE", type=_SHARE, default=0.2, help="The share of successful tasks with PARTIAL_SUCCESS before SUCCEEDED."
)
@click.option("--failed", metavar="SHARE", type=_SHARE, default=0.05, help="The share of tasks that end FAILED.")
@click.option("--stopped", metavar="SHARE", type=_SHARE, default=0.05, help="The share of tasks that end STOPPED without a Stop call.")
@click.option("--known-only", is_flag=True, help="Only a Start or PUT request creates a task. Otherwise the first Get creates it.")
@click.option("--seed", metavar="N", type=int, default=0, help="With the same seed, a task id has the same statuses and times.")
@click.option(
    "--log-requests", metavar="[FILE]", is_flag=False, flag_value="-", help="Log each request as a line of JSON: to stderr, or to FILE."
)
@click.option("--config", metavar="FILE", type=FILE, help="Also serve the kinds of this configuration.")
def simulate(
    host: str,
    port: int,
    durations: str,
    latency: str,
    fault: tuple[str, ...],
    log_requests: str | None,
    config: Path | None,
    **scenario_fields: Any,
) -> None:
    """Serve simulated AWS services on a port.

    Serves Amazon Chime SDK Voice, and the calls that read tasks of all other
    kinds of the catalog (list them with: watcher kinds list). Prints
    environment variables that point any AWS SDK at it. The first Get of a
    task id creates the task, and so does a Start call of the voice service.
    The seed and the id determine its statuses and times. Signatures are
    checked. A second call about a voice task at the same time gets a
    ConflictException. Serves until Ctrl-C or SIGTERM, and then exits with 0.

    \b
    The beginning of a task id, in an ARN that of its last part, can decide
    what happens to the task:
      succeeded-, failed-, stopped-  ends with this status
      partial-                       has PARTIAL_SUCCESS, then ends SUCCEEDED
      settled-                       keeps PARTIAL_SUCCESS
      slow-                          runs ten times as long
      stuck-                         never ends
      late-                          is not found for the first 20 s
      missing-                       is never found
      denied-, busy-, broken-        each reply is AccessDenied, a conflict, or
                                     no task

    \b
    A PUT request sets the status that a task keeps; a GET request shows it:
      curl -X PUT -d '{"status": "FAILED"}' \\
        http://127.0.0.1:8181/_simulator/tasks/speaker-search/CONNECTOR/TASK
      curl -X PUT -d '{"status": "FAILED"}' \\
        http://127.0.0.1:8181/_simulator/tasks/batch-job/JOB

    \b
    Examples:
      watcher simulate --quota 10 --fault 503=0.02
      watcher simulate --log-requests
      watcher watch myConnector/failed-1 myConnector/partial-2
      watcher watch batch-job/failed-3 transcription/slow-4
    """
    from pydantic import ValidationError

    from watcher.cli.event_loop import CANCEL_S, run_stoppable
    from watcher.simulator import Scenario
    from watcher.simulator.distributions import parse_distribution, parse_durations
    from watcher.simulator.faults import parse_faults

    try:
        scenario = Scenario(
            latency=_parse("--latency", parse_distribution, latency),
            durations=_parse("--durations", parse_durations, durations),
            faults=_parse("--fault", parse_faults, fault),
            **scenario_fields,  # the other options have the names of the fields
        )
    except ValidationError as error:
        raise click.BadParameter("; ".join(each["msg"] for each in error.errors())) from None
    kinds = _kinds(config)
    with _request_log(log_requests) as on_request:
        run_stoppable(partial(_serve, scenario, host, port, on_request, kinds), CANCEL_S)


def _kinds(config: Path | None) -> Kinds:
    """Return what loads the kinds of the catalog. Those of a configuration are loaded now, to report its mistakes."""
    from watcher.kinds.catalog import builtin_catalog

    if config is None:
        return builtin_catalog
    from watcher.cli.kind_catalog import catalog_for
    from watcher.simulator.declared import ServedKinds

    catalog = catalog_for(config)
    own = [kind for kind in catalog if kind not in list(builtin_catalog())]
    served = ServedKinds(lambda: own)
    try:
        for name in served.by_name:
            served.routes_of(name)
    except ValueError as error:
        raise click.BadParameter(f"{config}: {error}", param_hint="--config") from None
    return lambda: catalog


def _parse(option: str, parse: Callable[..., T], text: object) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


@contextmanager
def _request_log(file: str | None) -> Iterator[OnRequest | None]:
    """Yield what writes a request as a line of JSON to `file` (`-`: stderr); None without a file. Raises OSError."""
    if file is None:
        yield None
        return
    with open(file, "a", encoding="utf-8") if file != "-" else nullcontext(sys.stderr) as out:
        yield lambda request: print(json.dumps(request), file=out, flush=True)


async def _serve(scenario: Scenario, host: str, port: int, on_request: OnRequest | None, kinds: Kinds, signals: StopSignals) -> None:
    """Serve until SIGINT or SIGTERM, then print a summary."""
    from contextlib import AsyncExitStack

    import anyio

    from watcher.simulator import VoiceService, serve
    from watcher.simulator.declared import DeclaredApi, DeclaredService

    stopped = anyio.Event()
    signals.attach(stopped.set)
    voice = VoiceService(scenario, time.time)
    declared = DeclaredService(kinds, voice)
    async with AsyncExitStack() as stack:
        try:
            sim = await stack.enter_async_context(serve(voice, host, port, on_request, DeclaredApi(declared)))
        except OSError as error:
            reason = error.strerror or error
            sentence(f"Cannot listen on {host}:{port}: {reason}. Set another port with --port; --port 0 takes any free port.", err=True)
            raise Exit(UNAVAILABLE) from None
        _print_environment(sim)
        await stopped.wait()
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(sim.stats.outcomes.items()))
    click.echo(f"# requests: {sim.stats.requests}, tasks: {len(sim.tasks) + len(declared.tasks)}, outcomes: {outcomes or 'none'}", err=True)


def _print_environment(sim: Simulator) -> None:
    click.echo(f"# Simulated services for all kinds of the catalog, seed {sim.service.scenario.seed}. Variables for any AWS SDK:")
    for name, value in sim.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo("# Press Ctrl-C to stop.")
