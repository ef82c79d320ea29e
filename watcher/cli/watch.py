"""`watcher watch`: follow a few tasks to their ends, without any configuration."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

import anyio
import typer

from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.app import assemble
from watcher.cli import exit_codes
from watcher.cli.live import ConsoleSink, FixedSource, Screen, succeeded
from watcher.cli.run import loop_options
from watcher.core.intake.submissions import parse_ref
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import CredentialsRejected, InvalidInput, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef
from watcher.observe.logs import configure
from watcher.observe.settings import LogSettings
from watcher.ports import Probe
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import ServiceSettings


def watch(
    tasks: Annotated[list[str], typer.Argument(metavar="VC/TASK...", help="VoiceConnectorId/TaskId, or kind/VoiceConnectorId/TaskId.")],
    rate: Annotated[float | None, typer.Option(help="At most so many calls per second; found by itself otherwise.", min=0.01)] = None,
    patience: Annotated[float, typer.Option(help="Give up (exit 75) after so many seconds without an answer.", min=1)] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as one line of JSON: the CloudEvent itself.")] = False,
) -> None:
    """Follow tasks live until each has ended. Nothing is stored, nothing needs configuring.

    Exit 0: all succeeded; 3: some failed or were stopped; 75: it could not be
    told of some. Credentials, Region and endpoints are AWS's own variables.

    Example:

        watcher watch abc123/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10
    """
    keys = {_key(task) for task in tasks}
    configure(LogSettings(level="warning"))
    raise typer.Exit(anyio.run(_follow, keys, rate, patience, as_json, backend_options=loop_options()))


def _key(task: str) -> str:
    try:
        return parse_ref(task, builtin_catalog()).key
    except InvalidInput as error:
        raise typer.BadParameter(f"{task!r}: {error}", param_hint="VC/TASK") from None


async def _follow(keys: set[str], rate: float | None, patience: float, as_json: bool) -> int:
    aws = AwsClients(clock=time.time)
    screen = Screen()
    console_sink = ConsoleSink(screen, time.monotonic, as_json=as_json)
    probe = _Asked(AwsProbe(aws, builtin_catalog(), call_deadline=15.0, clock=time.time))
    parts = Adapters(
        sources=[FixedSource([key.encode() for key in sorted(keys)])],
        probe=probe,
        store=MemoryStore(MemoryStoreSettings()),
        sinks=[console_sink],
    )
    try:
        plan = ServiceSettings(watch=WatchSettings(not_found_grace=patience), pace=PaceSettings(rate=rate), region=aws.region_required())
        shown = screen.status(_Progress(console_sink, len(keys), probe)) if screen.is_terminal and not as_json else nullcontext()
        async with assemble(parts, plan) as watcher:
            with shown:
                interrupted = await _run(watcher, probe, patience)
    finally:
        await aws.close()
    return _verdict(keys, console_sink, watcher, probe, interrupted=interrupted)


async def _run(watcher: Watcher, probe: _Asked, patience: float) -> bool:
    """Until everything is told, nothing can be asked for too long, or a signal. Returns whether it was a signal."""
    interrupted = False

    async def on_signal(signals: AsyncIterator[signal.Signals]) -> None:
        nonlocal interrupted
        async for _ in signals:
            interrupted = True
            watcher.stop()

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_give_up, watcher, probe, patience)
            tasks.start_soon(on_signal, signals)
            await watcher.run()
            tasks.cancel_scope.cancel()
    return interrupted


async def _give_up(watcher: Watcher, probe: _Asked, patience: float) -> None:
    """Stop once there was no answer for so long: a person waits."""
    while probe.silent_for() < patience:  # noqa: ASYNC110 - silence rings no bell
        await anyio.sleep(0.2)
    watcher.stop()


@dataclass(frozen=True)
class _Progress:
    """The line below the events, for somebody who waits."""

    console_sink: ConsoleSink
    tasks: int
    probe: _Asked

    def __rich__(self) -> str:
        """As of now, whenever the screen is drawn."""
        asked = f"{len(self.console_sink.ends)} of {self.tasks} ended, {self.probe.calls} calls"
        return asked if self.probe.trouble is None else f"{asked}; no answer for {self.probe.silent_for():.0f} s: {self.probe.trouble.code}"


class _Asked:
    """A `Probe` that knows for how long it was asked in vain. That a task is not there, or not ours to see, is an answer."""

    def __init__(self, probe: Probe) -> None:
        self.open = probe.open
        self.close = probe.close
        self.check = probe.check
        self.refresh = probe.refresh
        self.trouble: RemoteError | None = None
        """Why the last call gave no answer."""
        self.calls = 0
        self._observe = probe.observe
        self._since = 0.0

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """As the probe does."""
        self.calls += 1
        try:
            seen = await self._observe(refs)
        except (Throttled, Unavailable, CredentialsRejected, Unreadable) as error:
            self._since = self._since if self.trouble is not None else time.monotonic()
            self.trouble = error
            raise
        except RemoteError:
            self.trouble = None
            raise
        self.trouble = None
        return seen

    def silent_for(self) -> float:
        """Seconds since the first call in vain; 0 after an answer."""
        return 0.0 if self.trouble is None else time.monotonic() - self._since


def _verdict(keys: set[str], console_sink: ConsoleSink, watcher: Watcher, probe: _Asked, *, interrupted: bool) -> int:
    """The exit code, and a word on stderr about whatever could not be told."""
    untold = [key for key in sorted(keys) if key not in console_sink.ends or succeeded(console_sink.ends[key]) is None]
    for key in untold:
        why = f": {console_sink.ends[key]['data']['reason']}" if key in console_sink.ends else ""
        left = interrupted and not why
        typer.echo(f"{key}: {'not followed to its end' if left else f'could not be told how it ended{why}'}", err=True)
    bad = {component: condition for component, condition in watcher.health.ready()[1].items() if not condition.ok}
    for component, condition in bad.items():
        typer.echo(f"{component}: {condition.reason}. {condition.hint}", err=True)
    if not bad and probe.trouble is not None:
        typer.echo(f"the service gave no answer: {probe.trouble.reason}: {probe.trouble.code}", err=True)
    if interrupted:
        return exit_codes.INTERRUPTED
    if untold:
        return exit_codes.TRY_AGAIN
    return exit_codes.OK if all(succeeded(body) for body in console_sink.ends.values()) else exit_codes.SOME_FAILED
