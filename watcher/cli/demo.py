"""`watcher demo`: the main job on loopback, end to end, without an AWS account. Real HTTP, real signatures, real SQLite."""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console

from watcher.app import build
from watcher.cli import exit_codes
from watcher.cli.live import ConsoleSink, Screen, succeeded
from watcher.cli.run import loop_options
from watcher.config import parse
from watcher.errors import PeerGone
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DEFAULT_TARGET
from watcher.observe.logs import configure
from watcher.observe.metrics import Metrics
from watcher.observe.settings import LogSettings
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

CONNECTOR = "demo0voice0connector0"
QUOTA = builtin_catalog().default.quota.name
FEED_S = 12.0
PATIENCE_S = 120.0


def demo(
    tasks: Annotated[int, typer.Option(help="How many speaker searches to start.", min=1, max=5000)] = 60,
    quota: Annotated[float, typer.Option(help="Calls per second the simulated account allows.", min=0.5)] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the tasks the same lives.")] = 0,
    serve: Annotated[bool, typer.Option("--serve", help="Stay up at the end, with /readyz and /metrics, until Ctrl-C.")] = False,
) -> None:
    """See it at work: a simulated Chime SDK Voice with a small quota and some faults, a watcher, and tasks that live for a while.

    Everything is on loopback and in a temporary directory; no AWS account is needed or used. Ends by itself within about 40 s.
    """
    configure(LogSettings(level="error"))
    with tempfile.TemporaryDirectory(prefix="watcher-demo-") as directory:
        raise typer.Exit(anyio.run(_until_terminated, Path(directory), tasks, quota, seed, serve, backend_options=loop_options()))


async def _until_terminated(directory: Path, tasks: int, quota: float, seed: int, stay: bool) -> int:
    """The demo, which SIGTERM ends as Ctrl-C does: with nothing left behind. Returns the exit code."""
    code = exit_codes.TERMINATED

    async def end(process: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                process.cancel()

    async with anyio.create_task_group() as process:
        process.start_soon(end, process.cancel_scope)
        code = await _demo(directory, tasks, quota, seed, stay)
        process.cancel_scope.cancel()
    return code


async def _demo(directory: Path, tasks: int, quota: float, seed: int, stay: bool) -> int:
    console = Screen()
    scenario = Scenario(
        seed=seed,
        quota=quota,
        durations=parse_durations("queue=exponential(1),run=5+exponential(3)"),
        faults={"503": 0.02, "500": 0.01, "reset": 0.01},
        partial=0.1,
    )
    console_sink = ConsoleSink(console, time.monotonic)
    async with simulator(scenario) as sim:
        with _environment(sim.environment):
            pipe = directory / "tasks"
            os.mkfifo(pipe)
            settings = parse(_configuration(directory, serve=stay), "demo", {})
            console.print(f"A simulated Chime SDK Voice at {sim.url} allows {quota:g} calls a second; {tasks} speaker searches begin.\n")
            async with build(settings, sinks=[console_sink]) as app, anyio.create_task_group() as work:
                work.start_soon(app.run)
                work.start_soon(_feed, pipe, tasks, seed)
                spending = _Spending(app.metrics, quota)
                done = await _until_told(console, console_sink, tasks, spending)
                _summarize(console, sim, console_sink, tasks, spending)
                if stay and app.http is not None:
                    console.print(f"\nStill up: {app.http.url}/readyz and {app.http.url}/metrics. Ctrl-C ends it.")
                    await anyio.sleep_forever()
                app.stop()
    return exit_codes.OK if done else exit_codes.TRY_AGAIN


def _configuration(directory: Path, *, serve: bool) -> str:
    """The demo's own configuration: what a user would write, with paths of a temporary directory."""
    settings: dict[str, Any] = {
        "sources": [{"type": "lines", "path": str(directory / "tasks")}],
        "store": {"type": "sqlite", "path": str(directory / "watcher.db")},
        "sinks": [{"type": "jsonl", "path": str(directory / "events.jsonl")}],
    }
    if serve:
        settings["api"] = {"listen": "127.0.0.1:8080"}
    return json.dumps(settings)  # JSON is YAML


async def _feed(pipe: Path, tasks: int, seed: int) -> None:
    """Tasks come in over a while, through a named pipe, in the two forms a line may have."""
    async with await anyio.open_file(pipe, "w") as feed:
        ids = Random(seed)  # noqa: S311 - names, not secrets
        for n in range(tasks):
            id_ = str(uuid.UUID(int=ids.getrandbits(128), version=4))
            message = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": id_, "context": {"call": f"c-{n}"}}
            await feed.write(f"{CONNECTOR}/{id_}\n" if n % 2 else json.dumps(message) + "\n")
            await feed.flush()
            await anyio.sleep(FEED_S / tasks)


@dataclass
class _Spending:
    """What the gauges showed while tasks were watched: the price of a call in seconds of lag, and the pace in calls per second."""

    metrics: Metrics
    quota: float
    prices: list[float] = field(default_factory=list)
    pace: float = 0.0

    def look(self) -> None:
        """Note what they show now; nothing before they are first set."""
        price = self.metrics.registry.get_sample_value("watcher_cadence_price_seconds", {"quota": QUOTA})
        if price:
            self.prices.append(price)
            labels = {"target": DEFAULT_TARGET, "quota": QUOTA}
            self.pace = self.metrics.registry.get_sample_value("watcher_pace_calls_per_second", labels) or self.pace

    def price(self) -> str:
        """From when calls were to spare to when they were scarcest."""
        return f"{min(self.prices):.1f} to {max(self.prices):.1f} s of expected lag" if self.prices else "-"


async def _until_told(console: Screen, console_sink: ConsoleSink, tasks: int, spending: _Spending) -> bool:
    """Whether every task was told of to its end. Raises PeerGone once nobody looks any more: the other sink alone is no demo."""
    with anyio.move_on_after(PATIENCE_S):
        while len(console_sink.ends) < tasks:
            if console.unread:
                raise PeerGone
            await anyio.sleep(0.1)
            spending.look()
    return len(console_sink.ends) >= tasks


def _summarize(console: Console, sim: Simulator, console_sink: ConsoleSink, tasks: int, spending: _Spending) -> None:
    outcomes = sim.stats.outcomes
    lags = sorted(
        e["data"]["detection_lag_s"]
        for e in console_sink.events
        if e["data"]["from"] is not None and e["data"]["detection_lag_s"] is not None
    )
    ends = [succeeded(body) for body in console_sink.ends.values()]
    rows = {
        "tasks told of to their end": f"{len(ends)} of {tasks}: {ends.count(True)} succeeded, {ends.count(False)} failed or stopped",
        "transitions": f"{sum(e['type'].endswith('transition.v1') for e in console_sink.events)}",
        "calls for each task": f"{sim.stats.requests / tasks:.1f}",
        "detection lag": f"mean {statistics.fmean(lags):.2f} s, p99 {lags[math.ceil(0.99 * len(lags)) - 1]:.2f} s" if lags else "-",
        "price of a call": spending.price(),
        "pace found": f"{spending.pace:.1f} calls a second, {spending.quota:g} allowed",
        "throttled calls": f"{outcomes['ThrottledClientException']} of {sim.stats.requests}",
        "other faults survived": ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()) if _fault(name)) or "none",
    }
    console.print()
    for name, value in rows.items():
        console.print(f"{name:<28}[bold]{value}[/bold]", soft_wrap=True)


def _fault(outcome: str) -> bool:
    return outcome not in ("ok", "ThrottledClientException")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """AWS's own variables for a while, so that nothing of this machine's set-up takes part."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
