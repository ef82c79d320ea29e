"""The process of `watcher run` around an `App`: configuration, logs, signals, exit codes."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import structlog

from watcher.app import App, build
from watcher.cli import exit_codes
from watcher.cli.event_loop import loop_options
from watcher.config import Settings, read
from watcher.errors import ConfigMistakes
from watcher.observe.logs import configure

log = structlog.get_logger("watcher.run")


def run_service(config: Path) -> int:
    """Read the configuration, and run the service until it ends. Returns the exit code. Raises ConfigMistakes."""
    settings = read(config, os.environ, paths=True).settings
    configure(settings.logs, config=config)
    for sentence in settings.aws.deprecations():
        log.warning("deprecated_setting", hint=sentence)
    gc.collect()
    gc.freeze()  # a collection that visits all imported objects again stops the event loop for tens of milliseconds
    return anyio.run(serve, settings, config, backend_options=loop_options())


async def serve(settings: Settings, config: Path) -> int:
    """Run the app under signals. Returns the exit code."""
    stop = _StopRequest()
    # the receiver comes first: building the app takes a while, and a signal in that time must not raise inside the event loop
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as process:
            process.start_soon(_receive_signals, signals, stop, process.cancel_scope, config)
            async with build(settings) as app:
                stop.app = app
                if stop.signal is not None:
                    app.stop()
                await app.run()
            process.cancel_scope.cancel()
    if stop.signal is None:
        return exit_codes.OK
    return exit_codes.TERMINATED if stop.signal == signal.SIGTERM else exit_codes.INTERRUPTED


class _StopRequest:
    """The first signal that requested a stop, and the app to stop."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.app: App | None = None


async def _receive_signals(signals: AsyncIterator[signal.Signals], stop: _StopRequest, process: anyio.CancelScope, config: Path) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            _check_config(config)
        elif stop.signal is None:
            stop.signal = signal.Signals(number)
            hint = "stopping within limits.stop_deadline; a second signal ends the process at once"
            log.info("stop_requested", signal=stop.signal.name, hint=hint)
            if stop.app is not None:
                stop.app.stop()
        else:
            log.warning("stopped_at_once", hint="no action is needed: the next start continues")
            process.cancel()
            return


def _check_config(config: Path) -> None:
    """Log whether the next start can use the configuration file. The running service keeps its configuration."""
    try:
        read(config, os.environ, paths=True)
    except ConfigMistakes as mistakes:
        hint = "correct the file; the running watcher keeps its configuration"
        log.error("config_invalid", mistakes=list(mistakes.mistakes), hint=hint)  # noqa: TRY400 - a traceback adds nothing to the mistakes
    else:
        log.info("config_valid", hint="restart the watcher to apply the file; watches, undelivered events and the pace are kept")
