"""Follows a few tasks to their ends, for `watcher watch`: a watcher over a memory store, with the screen as its sink."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import anyio
import click

from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.app import assemble
from watcher.cli import exit_codes
from watcher.cli.live import ConsoleSink, FixedSource, Screen, succeeded
from watcher.cli.stop_signals import StopSignals
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import CredentialsRejected, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.model import Observation, TaskRef
from watcher.ports import Probe
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import ServiceSettings

CHECK_S = 0.2
"""Seconds between two checks for how long the service has given no answer."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """The options of `watcher watch`. `rate` is in calls per second, `patience_s` in seconds."""

    rate: float | None
    patience_s: float
    as_json: bool


class AnswerMonitor:
    """A `Probe` that measures for how long the service has given no answer. Not found and denied are answers."""

    def __init__(self, probe: Probe) -> None:
        self.open = probe.open
        self.close = probe.close
        self.check = probe.check
        self.refresh = probe.refresh
        self.error: RemoteError | None = None
        """Why the last call had no answer; None if it had one."""
        self.calls = 0
        self._probe = probe
        self._failing_since = 0.0

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Observe the tasks with the probe."""
        self.calls += 1
        try:
            outcomes = await self._probe.observe(refs)
        except (Throttled, Unavailable, CredentialsRejected, Unreadable) as error:
            self._failing_since = self._failing_since if self.error is not None else time.monotonic()
            self.error = error
            raise
        except RemoteError:
            self.error = None
            raise
        self.error = None
        return outcomes

    def failing_s(self) -> float:
        """Seconds since the first of the calls without an answer; 0 after an answer."""
        return 0.0 if self.error is None else time.monotonic() - self._failing_since


@dataclass(frozen=True)
class _Progress:
    """The status line below the events."""

    sink: ConsoleSink
    tasks: int
    monitor: AnswerMonitor

    def __rich__(self) -> str:
        """The line as of now; rich calls this for each refresh."""
        line = f"{len(self.sink.ends)} of {self.tasks} ended, {self.monitor.calls} calls"
        if self.monitor.error is None:
            return line
        return f"{line}; no answer for {self.monitor.failing_s():.0f} s: {self.monitor.error.code}"


async def follow(keys: Collection[str], catalog: Catalog, options: FollowOptions, signals: StopSignals) -> int:
    """Follow the tasks until each one has ended, the service gives no answer for too long, or a signal. Returns the exit code."""
    aws = AwsClients(clock=time.time, polled_services=catalog.services)
    screen = Screen()
    sink = ConsoleSink(screen, time.monotonic, as_json=options.as_json)
    monitor = AnswerMonitor(AwsProbe(aws, catalog, call_deadline=15.0, clock=time.time))
    source = FixedSource([key.encode() for key in sorted(keys)])
    adapters = Adapters(sources=[source], probe=monitor, store=MemoryStore(MemoryStoreSettings()), sinks=[sink])
    try:
        settings = ServiceSettings(
            watch=WatchSettings(not_found_grace=options.patience_s),
            pace=PaceSettings(rate=options.rate),
            region=aws.region_required(),
            catalog=catalog,
        )
        show_status = screen.is_terminal and not options.as_json
        status = screen.status(_Progress(sink, len(keys), monitor)) if show_status else nullcontext()
        async with assemble(adapters, settings) as watcher:
            with status:
                await _run(watcher, monitor, options.patience_s, signals)
    finally:
        await aws.close()
    _print_trouble(keys, sink, catalog, interrupted=signals.received is not None)
    _print_reasons(watcher, monitor)
    return _exit_code(keys, sink, catalog) if signals.received is None else signals.exit_code


async def _run(watcher: Watcher, monitor: AnswerMonitor, patience_s: float, signals: StopSignals) -> None:
    """Run the watcher until it is done or stopped. A second signal does not wait for calls in flight."""
    async with anyio.create_task_group() as tasks:
        signals.attach(watcher.stop, tasks.cancel_scope.cancel)
        tasks.start_soon(_stop_without_answer, watcher, monitor, patience_s)
        await watcher.run()
        tasks.cancel_scope.cancel()


async def _stop_without_answer(watcher: Watcher, monitor: AnswerMonitor, patience_s: float) -> None:
    while monitor.failing_s() < patience_s:  # noqa: ASYNC110 - no event marks that nothing has happened for a while
        await anyio.sleep(CHECK_S)
    watcher.stop()


def _unknown_ends(keys: Collection[str], sink: ConsoleSink, catalog: Catalog) -> list[str]:
    """The keys of the tasks whose events do not show how they ended."""
    return [key for key in sorted(keys) if key not in sink.ends or succeeded(sink.ends[key], catalog) is None]


def _print_trouble(keys: Collection[str], sink: ConsoleSink, catalog: Catalog, *, interrupted: bool) -> None:
    """Print a line on stderr for each task whose end is unknown."""
    for key in _unknown_ends(keys, sink, catalog):
        if key in sink.ends:
            click.echo(f"{key}: how the task ended is unknown: {sink.ends[key]['data']['reason']}", err=True)
        else:
            click.echo(f"{key}: {'stopped before the task ended' if interrupted else 'how the task ended is unknown'}", err=True)


def _print_reasons(watcher: Watcher, monitor: AnswerMonitor) -> None:
    """Print on stderr what does not work: the unhealthy components, or else the last error of the service."""
    unhealthy = {name: condition for name, condition in watcher.health.ready()[1].items() if not condition.ok}
    for name, condition in unhealthy.items():
        click.echo(f"{name}: {condition.reason}. {condition.hint}", err=True)
    if not unhealthy and monitor.error is not None:
        click.echo(f"The service gave no answer: {monitor.error.reason}: {monitor.error.code}", err=True)


def _exit_code(keys: Collection[str], sink: ConsoleSink, catalog: Catalog) -> int:
    if _unknown_ends(keys, sink, catalog):
        return exit_codes.TRY_AGAIN
    return exit_codes.OK if all(succeeded(body, catalog) for body in sink.ends.values()) else exit_codes.SOME_FAILED
