"""Runs `watcher demo --serve`: simulated service, watcher, HTTP API, and page, with new searches until Ctrl-C."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
from click.exceptions import Exit

from watcher.app import App, build
from watcher.cli import exit_codes
from watcher.cli.demo_guide import print_guide
from watcher.cli.demo_run import DemoOptions, aws_environment
from watcher.cli.demo_searches import SearchStarter
from watcher.cli.demo_state import STOP_DEADLINE_S, DemoState, default_directory
from watcher.cli.event_loop import run_stoppable
from watcher.cli.live import Screen
from watcher.cli.stop_signals import StopSignals
from watcher.cli.tables import counted, sentence
from watcher.cli.task_rows import TaskRows, can_update
from watcher.config import Settings, parse
from watcher.errors import StoreRefused
from watcher.observe.logs import configure
from watcher.observe.settings import LogSettings
from watcher.simulator import Scenario, Simulator, VoiceService, serve
from watcher.simulator.distributions import parse_durations
from watcher.simulator.task_file import TaskFile

HOST = "127.0.0.1"
SHOW_S = 1.0
"""Seconds between two updates of the last line."""
MAX_TASKS = 45_000
"""Simulated tasks in memory and in the state directory: those of about a day."""


def serve_demo(options: DemoOptions, port: int, directory: Path | None) -> int:
    """Run the demo until a signal ends it. Returns the exit code of the signal.

    `directory` is where the state is; None: the default. Exits with a message where the port or the directory cannot be used.
    """
    state = _state(directory)
    listen = f"{HOST}:{_free(port)}"
    with ExitStack() as opened:
        try:
            state.create()
            file = opened.enter_context(TaskFile(state.simulated_tasks))
            settings = parse(state.prepare(listen), str(state.config), {})
        except (StoreRefused, OSError) as error:
            reason = getattr(error, "strerror", None) or error
            sentence(f"The demo cannot keep its state in {state.directory}: {reason}. Choose another directory with --state.", err=True)
            raise Exit(exit_codes.IO) from None
        configure(LogSettings(level="error"))
        return run_stoppable(partial(_serve, options, state, settings, file), STOP_DEADLINE_S)


def _state(directory: Path | None) -> DemoState:
    try:
        return DemoState((directory or default_directory(os.environ)).absolute())
    except RuntimeError:
        sentence("There is no home directory for the state of the demo. Choose a directory with --state.", err=True)
        raise Exit(exit_codes.IO) from None


def _free(port: int) -> int:
    """Return the port, if nothing listens on it; for 0, one that the system chooses. Exits with a message if it is in use."""
    try:
        with socket.create_server((HOST, port)) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # create_server adds the address, which is in the sentence
        advice = "Another demo may be running. Choose another port with --port; --port 0 takes any free port."
        sentence(f"Cannot listen on {HOST}:{port}: {reason}. {advice}", err=True)
        raise Exit(exit_codes.UNAVAILABLE) from None


async def _serve(options: DemoOptions, state: DemoState, settings: Settings, file: TaskFile, signals: StopSignals) -> int:
    """Run everything under signals: the first one drains the watcher, the second one cancels it."""
    screen = Screen()
    with anyio.CancelScope() as scope:
        async with serve(VoiceService(_scenario(options), time.time, file)) as sim:
            with aws_environment(sim.environment):
                starter = SearchStarter(sim.tasks, state.pipe, options.tasks)
                async with build(settings) as app, anyio.create_task_group() as beside:
                    signals.attach(app.stop, scope.cancel)
                    print_guide(screen, state, app.http.url if app.http is not None else "", len(sim.tasks))
                    beside.start_soon(starter.run)
                    beside.start_soon(_limit_events, state)
                    beside.start_soon(_show, screen, sim, app, starter)
                    await app.run()
                    beside.cancel_scope.cancel()
    screen.print("Stopped. To continue from this state, run the same command again.")
    return signals.exit_code


def _scenario(options: DemoOptions) -> Scenario:
    return Scenario(
        seed=options.seed,
        quota=options.quota,
        durations=parse_durations("queue=exponential(2),run=6+exponential(6)"),
        faults={"503": 0.02, "500": 0.01, "reset": 0.01},
        partial=0.1,
        max_tasks=MAX_TASKS,
    )


async def _limit_events(state: DemoState) -> None:
    while True:
        state.limit_events()
        await anyio.sleep(60)


async def _show(screen: Screen, sim: Simulator, app: App, starter: SearchStarter) -> None:
    """Keep the last line of a terminal up to date. Elsewhere, the page shows what happens."""
    if not can_update(screen):
        return

    def status() -> str:
        open_tasks = sum(sample.value for family in app.metrics.watches.collect() for sample in family.samples)
        started = counted(starter.started, "search", "searches")
        return f"{started} started, {open_tasks:.0f} open; {counted(sim.stats.requests, 'call')}. Press Ctrl-C to stop."

    with TaskRows(screen, dict, status) as rows:
        while True:
            rows.refresh()
            await anyio.sleep(SHOW_S)
