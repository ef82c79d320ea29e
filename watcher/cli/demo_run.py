"""Runs the demo: the simulator, the service with a configuration like a user's, and a feed of tasks.

HTTP, signatures and SQLite are real; only the service behind them is simulated.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio

from watcher.app import build
from watcher.cli import exit_codes
from watcher.cli.demo_comparison import FixedLoop
from watcher.cli.demo_searches import CONNECTOR
from watcher.cli.demo_summary import GaugeLog, print_comparison, print_summary
from watcher.cli.event_loop import run
from watcher.cli.live import ConsoleSink, Screen
from watcher.cli.tables import counted
from watcher.cli.task_rows import TaskRows, can_update
from watcher.config import parse
from watcher.errors import PeerGone
from watcher.model import TaskRef
from watcher.observe.logs import configure
from watcher.observe.settings import LogSettings
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

FEED_S = 12.0
"""The time in which all tasks are submitted, in seconds."""
PATIENCE_S = 120.0
"""The longest time to wait until all tasks have ended, in seconds."""
LOOP_PATIENCE_S = 15.0
"""The longest time to wait, after that, until the loop that the watcher is compared with has seen all ends, in seconds."""
CHECK_S = 0.1
"""Seconds between two checks whether all tasks have ended."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The options of `watcher demo`. `quota` is in calls per second."""

    tasks: int
    quota: float
    seed: int


def run_demo(options: DemoOptions) -> int:
    """Run the demo in a temporary directory. Returns the exit code."""
    configure(LogSettings(level="error"))
    with tempfile.TemporaryDirectory(prefix="watcher-demo-") as directory:
        return run(partial(_demo, Path(directory), options), fast=True)


async def _demo(directory: Path, options: DemoOptions) -> int:
    screen = Screen()
    sink = ConsoleSink(screen, time.monotonic)
    scenario = _scenario(options)
    loop = FixedLoop(scenario, options.quota)
    async with simulator(scenario) as sim:
        with aws_environment(sim.environment):
            pipe = directory / "tasks"
            os.mkfifo(pipe)
            settings = parse(_configuration(directory), "demo", {})
            screen.print(
                f"A simulated Amazon Chime SDK Voice at {sim.url} allows {options.quota:g} calls per second. "
                f"Submitted to it: {counted(options.tasks, 'speaker search', 'speaker searches')}.\n"
            )
            async with build(settings, sinks=[sink]) as app, anyio.create_task_group() as work:
                work.start_soon(app.run)
                work.start_soon(loop.run)
                work.start_soon(_feed, pipe, options, loop)
                gauges = GaugeLog(app.metrics)
                done = await _show_until_end(screen, sink, loop, options.tasks, gauges)
                print_summary(screen, sim, sink, options.tasks, options.quota, gauges)
                print_comparison(screen, sim, sink, loop, options.quota)
                app.stop()
                work.cancel_scope.cancel()
    return exit_codes.OK if done else exit_codes.TRY_AGAIN


def _scenario(options: DemoOptions) -> Scenario:
    return Scenario(
        seed=options.seed,
        quota=options.quota,
        durations=parse_durations("queue=exponential(1),run=5+exponential(3)"),
        faults={"503": 0.02, "500": 0.01, "reset": 0.01},
        partial=0.1,
    )


def _configuration(directory: Path) -> str:
    """The configuration file: what a user would write, with paths in the temporary directory."""
    settings: dict[str, Any] = {
        "sources": [{"type": "lines", "path": str(directory / "tasks")}],
        "store": {"type": "sqlite", "path": str(directory / "watcher.db")},
        "sinks": [{"type": "jsonl", "path": str(directory / "events.jsonl")}],
    }
    return json.dumps(settings)  # JSON is YAML


async def _feed(pipe: Path, options: DemoOptions, loop: FixedLoop) -> None:
    """Submit the tasks through a named pipe over `FEED_S`, in the two forms that a line can have."""
    async with await anyio.open_file(pipe, "w") as lines:
        ids = Random(options.seed)  # noqa: S311 - names, not secrets
        for n in range(options.tasks):
            id_ = str(uuid.UUID(int=ids.getrandbits(128), version=4))
            message = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": id_, "context": {"call": f"c-{n}"}}
            await lines.write(f"{CONNECTOR}/{id_}\n" if n % 2 else json.dumps(message) + "\n")
            await lines.flush()
            loop.add(TaskRef("speaker-search", (CONNECTOR, id_)))
            await anyio.sleep(FEED_S / options.tasks)


async def _show_until_end(screen: Screen, sink: ConsoleSink, loop: FixedLoop, tasks: int, gauges: GaugeLog) -> bool:
    """Show the tasks until all have ended, and until the loop has seen that too. Returns whether all have ended."""
    if not can_update(screen):
        return await _wait_for_ends(screen, sink, loop, tasks, gauges, lambda: None)
    sink.rows = {}
    with TaskRows(
        screen, lambda: sink.rows or {}, lambda: f"{len(sink.ends)} of {counted(tasks, 'speaker search', 'speaker searches')} ended"
    ) as rows:
        done = await _wait_for_ends(screen, sink, loop, tasks, gauges, rows.refresh)
    sink.rows = None
    return done


async def _wait_for_ends(
    screen: Screen, sink: ConsoleSink, loop: FixedLoop, tasks: int, gauges: GaugeLog, show: Callable[[], None]
) -> bool:
    """Return whether all tasks have ended. Raises PeerGone when the reader of the screen is gone: the other sink would continue."""
    with anyio.move_on_after(PATIENCE_S):
        while len(sink.ends) < tasks:
            if screen.closed_by_reader:
                raise PeerGone
            await anyio.sleep(CHECK_S)
            gauges.read()
            show()
    with anyio.move_on_after(LOOP_PATIENCE_S):
        while not loop.done:  # noqa: ASYNC110 - no event marks the end of the loop's last task
            await anyio.sleep(CHECK_S)
    return len(sink.ends) >= tasks


@contextmanager
def aws_environment(variables: dict[str, str]) -> Iterator[None]:
    """Replace the AWS and proxy variables of this process for a while, so that only the simulator is called."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
