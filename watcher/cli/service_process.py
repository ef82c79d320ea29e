"""The process of `watcher run` around an `App`: configuration, logs, signals, exit codes."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import structlog

from watcher.app import App, build
from watcher.cli.event_loop import run_stoppable
from watcher.cli.stop_signals import StopSignals
from watcher.config import Loaded, Settings, read
from watcher.config.peers import peers_of
from watcher.errors import ConfigMistakes
from watcher.observe.logs import configure
from watcher.observe.tracing import Tracer
from watcher.observe.tracing_setup import start_tracing

log = structlog.get_logger("watcher.run")

STATUSES_HINT = "classify each status of the API, and no other, under statuses; until then, a status that is not declared counts as open"


def run_service(config: Path, drop_sinks: Sequence[str] = ()) -> int:
    """Read the configuration, and run the service until it ends. Returns the exit code. Raises ConfigMistakes.

    `drop_sinks` are the names of sinks that are no longer configured, and whose events are erased.
    """
    loaded = _read(config)
    settings = loaded.settings
    if kept := {sink.name for sink in settings.sinks} & set(drop_sinks):
        raise ConfigMistakes([f"--drop-sink {name}: this sink is configured; remove it from the file first" for name in sorted(kept)])
    configure(settings.logs, config=config)
    for sentence in settings.aws.deprecations():
        log.warning("deprecated_setting", hint=sentence)
    for kind, differences in loaded.status_differences.items():
        log.warning("kind_statuses_differ", kind=kind, differences=differences, hint=STATUSES_HINT)
    tracing = start_tracing(os.environ, peers_of(settings))
    gc.collect()
    gc.freeze()  # a collection that visits all imported objects again stops the event loop for tens of milliseconds
    try:
        return run_stoppable(partial(serve, settings, config, drop_sinks, tracing.tracer), settings.limits.stop_deadline)
    finally:
        tracing.close()


def _read(config: Path) -> Loaded:
    """Read the configuration for a start. A kind of it that cannot be polled is a mistake, with the lines of `watcher config check`."""
    return read(config, os.environ, paths=True, apis=True, statuses=False)


async def serve(settings: Settings, config: Path, drop_sinks: Sequence[str], tracer: Tracer, signals: StopSignals) -> int:
    """Run the app under signals. Returns the exit code."""
    # the receiver comes first: building the app takes a while, and a signal in that time must not raise inside the event loop
    with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
        async with anyio.create_task_group() as process:
            stop = _Stop(signals, process.cancel_scope)
            process.start_soon(_check_on_hangup, hangups, config)
            signals.attach(stop.drain, stop.end)
            async with build(settings, drop_sinks=drop_sinks, tracer=tracer) as app:
                stop.app = app
                if signals.received is not None:
                    app.stop()
                await app.run()
            process.cancel_scope.cancel()
    return signals.exit_code


class _Stop:
    """What the signals do: the first one drains the app, the second one cancels everything."""

    def __init__(self, signals: StopSignals, process: anyio.CancelScope) -> None:
        self.app: App | None = None
        self._signals = signals
        self._process = process

    def drain(self) -> None:
        """The first signal."""
        hint = "stopping within limits.stop_deadline; a second signal ends the process at once"
        log.info("stop_requested", signal=getattr(self._signals.received, "name", None), hint=hint)
        if self.app is not None:
            self.app.stop()

    def end(self) -> None:
        """The second signal."""
        log.warning("stopped_at_once", hint="no action is needed: the next start continues")
        self._process.cancel()


async def _check_on_hangup(hangups: AsyncIterator[signal.Signals], config: Path) -> None:
    async for _ in hangups:
        await anyio.to_thread.run_sync(_check_config, config)  # loading the model of an API would block the event loop


def _check_config(config: Path) -> None:
    """Log whether the next start can use the configuration file. The running service keeps its configuration."""
    try:
        _read(config)
    except ConfigMistakes as mistakes:
        hint = "correct the file; the running watcher keeps its configuration"
        log.error("config_invalid", mistakes=list(mistakes.mistakes), hint=hint)  # noqa: TRY400 - a traceback adds nothing to the mistakes
    else:
        log.info("config_valid", hint="restart the watcher to apply the file; watches, undelivered events and the pace are kept")
