"""Follows a few tasks to their ends, for `watcher watch`: a watcher over a memory store, with the screen as its sink."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import click
from rich.text import Text

from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.settings import TargetSettings
from watcher.adapters.aws.targets import target_clients
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.cli import exit_codes
from watcher.cli.answer_monitor import AnswerMonitor
from watcher.cli.live import ConsoleSink, FixedSource, Screen, succeeded
from watcher.cli.stop_signals import StopSignals
from watcher.cli.tables import counted, sentence
from watcher.cli.task_lines import task_line
from watcher.cli.task_rows import TaskRows, can_update
from watcher.core.hints import hint
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import CredentialsRejected, NotFound, RemoteError, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.model import DEFAULT_TARGET, Scope, TaskRef
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import ServiceSettings

CHECK_S = 0.2
"""Seconds between two checks for how long the service has given no answer, and between two updates of the rows."""
NOTE_S = 10.0
"""Seconds between two lines about what is wrong, where rows cannot be updated."""


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """The options of `watcher watch`. `rate` is in calls per second, `patience_s` in seconds.

    `targets` are those of the configuration `config`, besides the default one.
    """

    rate: float | None
    patience_s: float
    as_json: bool
    config: Path | None = None
    targets: Sequence[TargetSettings] = ()


class _Progress:
    """What the screen shows besides events: a row for each open task, and the status below them."""

    def __init__(self, tasks: Mapping[str, TaskRef], sink: ConsoleSink, monitor: AnswerMonitor) -> None:
        self.sink = sink
        self._tasks = tasks
        self._keys = sorted(tasks)
        self._monitor = monitor

    @property
    def open_keys(self) -> list[str]:
        """The tasks that have not ended."""
        return [key for key in self._keys if key not in self.sink.ends]

    @property
    def trouble(self) -> bool:
        """Whether something is wrong with an open task."""
        return bool(self._monitor.trouble(self.open_keys))

    def rows(self) -> Mapping[str, Text]:
        """The row of each open task: those that were not seen yet first, then by the time of the last event."""
        shown = dict(self.sink.rows or {})
        unseen = {key: self._unseen(key) for key in self.open_keys if key not in shown}
        return {**unseen, **{key: self._with_state(key, row) for key, row in shown.items()}}

    def status(self) -> str:
        """The kinds of the tasks, how many have ended, the calls, and what is wrong."""
        kinds = ", ".join(sorted({ref.kind for ref in self._tasks.values()}))
        ended = f"{len(self._keys) - len(self.open_keys)} of {len(self._keys)} ended"
        return ", ".join([f"{kinds}: {ended}", counted(self._monitor.calls, "call"), *self._monitor.trouble(self.open_keys)])

    def advice(self) -> str | None:
        """What to do about what is wrong, if anything can be done."""
        return self._monitor.advice(self.open_keys)

    def _unseen(self, key: str) -> Text:
        row = task_line(key, self.sink.elapsed_s, self.sink.names)
        return row.append(f"new {self._tasks[key].kind}, {self._monitor.state(key) or 'not polled yet'}", style="dim")

    def _with_state(self, key: str, row: Text) -> Text:
        state = self._monitor.state(key)
        return row if state is None else row.copy().append(f"  {state}", style="yellow not dim")


async def follow(refs: Iterable[TaskRef], catalog: Catalog, options: FollowOptions, signals: StopSignals) -> int:
    """Follow the tasks until each one has ended, the service gives no answer for too long, or a signal. Returns the exit code."""
    tasks = {ref.key: ref for ref in refs}
    aws = AwsClients(clock=time.time, catalog=catalog)
    screen = Screen()
    sink = ConsoleSink(screen, time.monotonic, as_json=options.as_json, kinds=_need_whole_keys(tasks.values()))
    probe = AwsProbe(aws, catalog, targets=target_clients(options.targets, aws), call_deadline=15.0, clock=time.time)
    targets = {key: ref.target for key, ref in tasks.items()}
    monitor = AnswerMonitor(probe, own_kinds={kind.name for kind in catalog if kind.own}, targets=targets)
    source = FixedSource([key.encode() for key in sorted(tasks)])
    adapters = Adapters(sources=[source], probe=monitor, store=MemoryStore(MemoryStoreSettings()), sinks=[sink])
    try:
        settings = ServiceSettings(
            watch=WatchSettings(not_found_grace=options.patience_s),
            pace=PaceSettings(rate=options.rate),
            region=aws.region_required(),
            catalog=catalog,
            targets={target.name: Scope(target.region, target.account) for target in options.targets},
        )
        progress = _Progress(tasks, sink, monitor)
        async with assemble(adapters, settings) as watcher:
            with _shown(screen, progress, updating=can_update(screen) and not options.as_json) as show:
                await _run(watcher, monitor, progress, options.patience_s, signals, show)
    finally:
        await aws.close()
    _print_trouble(tasks, sink, catalog, monitor, interrupted=signals.received is not None)
    if signals.received is None:
        _print_not_found(tasks, sink, catalog, monitor, options.config)
    _print_reasons(watcher, monitor)
    return _exit_code(tasks, sink, catalog, monitor) if signals.received is None else signals.exit_code


def _need_whole_keys(refs: Collection[TaskRef]) -> bool:
    """Whether a line must have more of a key than the identifiers: the tasks have several kinds, or another target than the default one."""
    return len({ref.kind for ref in refs}) > 1 or any(ref.target != DEFAULT_TARGET for ref in refs)


@contextmanager
def _shown(screen: Screen, progress: _Progress, *, updating: bool) -> Iterator[Callable[[], None]]:
    """Show the progress. Yields what to call a few times a second: it draws the rows, or prints what is wrong now and then."""
    if updating:
        progress.sink.rows = {}
        with TaskRows(screen, progress.rows, progress.status, progress.advice) as rows:
            yield rows.refresh
        progress.sink.rows = None
        return
    noted_at = 0.0

    def note() -> None:
        nonlocal noted_at
        now = progress.sink.elapsed_s
        if progress.trouble and now - noted_at >= NOTE_S:
            noted_at = now
            advice = progress.advice()
            sentence(progress.status() + ("" if advice is None else f": {advice}"), err=True)

    yield note


async def _run(
    watcher: Watcher, monitor: AnswerMonitor, progress: _Progress, patience_s: float, signals: StopSignals, show: Callable[[], None]
) -> None:
    """Run the watcher until it is done or stopped. A second signal does not wait for calls in flight."""

    async def show_progress() -> None:
        while monitor.failing_s(progress.open_keys) < patience_s and not monitor.setup_is_wrong:
            show()
            await anyio.sleep(CHECK_S)
        watcher.stop()

    async with anyio.create_task_group() as tasks:
        signals.attach(watcher.stop, tasks.cancel_scope.cancel)
        tasks.start_soon(show_progress)
        await watcher.run()
        tasks.cancel_scope.cancel()


def _unknown_ends(keys: Collection[str], sink: ConsoleSink, catalog: Catalog) -> list[str]:
    """The keys of the tasks whose events do not show how they ended."""
    return [key for key in sorted(keys) if key not in sink.ends or succeeded(sink.ends[key], catalog) is None]


def _print_trouble(tasks: Mapping[str, TaskRef], sink: ConsoleSink, catalog: Catalog, monitor: AnswerMonitor, *, interrupted: bool) -> None:
    """Print a line on stderr for each task whose end is unknown."""
    for key in _unknown_ends(tasks, sink, catalog):
        reason = _reason(key, sink, monitor)
        what = "stopped before the task ended" if interrupted and key not in sink.ends else "how the task ended is unknown"
        sentence(f"{key}: {what}{f': {reason}' if reason else ''}", err=True)


def _print_not_found(
    tasks: Mapping[str, TaskRef], sink: ConsoleSink, catalog: Catalog, monitor: AnswerMonitor, config: Path | None
) -> None:
    """Print on stderr what to check for tasks that were not found."""
    missing = [tasks[key] for key in _unknown_ends(tasks, sink, catalog) if _reason(key, sink, monitor) == NotFound.reason]
    if not missing:
        return
    ref = missing[0]
    where = "AWS_REGION, and the account" if ref.target == DEFAULT_TARGET else f"and the Region and the account of the target {ref.target}"
    sentence(f"{counted(len(missing), 'task')} of the kind {ref.kind} not found: check the ids, {where}.", err=True)
    other = next(kind.name for kind in catalog if kind.name != ref.kind)
    option = () if config is None else ("--config", str(config))
    click.echo(f"To look for another kind: {shlex.join(['watcher', 'watch', replace(ref, kind=other).key, *option])}", err=True)


def _reason(key: str, sink: ConsoleSink, monitor: AnswerMonitor) -> str | None:
    """Why the end of a task is unknown: what ended its watch, or the last answer about it."""
    if key in sink.ends:
        return str(sink.ends[key]["data"]["reason"])
    error = monitor.errors.get(key)
    return None if error is None else error.reason


def _print_reasons(watcher: Watcher, monitor: AnswerMonitor) -> None:
    """Print on stderr what does not work: the unhealthy components, or else the last error of the service.

    The hint of a circuit is not that of `/readyz`, which is for a watcher that keeps its watches and continues.
    """
    unhealthy = {name: condition for name, condition in watcher.health.ready()[1].items() if not condition.ok}
    for name, condition in unhealthy.items():
        is_circuit = name.startswith("circuit:")
        sentence(f"{name}: {condition.reason}. {_circuit_advice(monitor) if is_circuit else condition.hint}", err=True)
    if not unhealthy and monitor.error is not None:
        error = monitor.error
        sentence(f"{_no_answer(error)}: {error.reason}: {error.code}. {hint(error, kind=monitor.own_kind)}", err=True)


def _no_answer(error: RemoteError) -> str:
    unsent = isinstance(error, CredentialsRejected | Unreadable) and error.unsent
    return "No call could be made" if unsent else "The service gave no answer"


def _circuit_advice(monitor: AnswerMonitor) -> str:
    return monitor.advice(monitor.errors) or "start the command again"


def _exit_code(keys: Collection[str], sink: ConsoleSink, catalog: Catalog, monitor: AnswerMonitor) -> int:
    if _unknown_ends(keys, sink, catalog):
        if isinstance(monitor.error, CredentialsRejected):
            return exit_codes.CONFIG
        return exit_codes.TRY_AGAIN
    return exit_codes.OK if all(succeeded(body, catalog) for body in sink.ends.values()) else exit_codes.SOME_FAILED
