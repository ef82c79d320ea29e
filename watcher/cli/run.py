"""`watcher run`: the service. The process is a thin wrapper round `App`: signals, logs and exit codes live here."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import anyio
import structlog
import typer

from watcher.app import App, build
from watcher.cli import exit_codes
from watcher.config import Settings, read
from watcher.errors import ConfigMistakes
from watcher.observe.logs import configure

log = structlog.get_logger("watcher.run")


def run(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration (see: watcher config check FILE).")],
) -> None:
    """Watch what the sources name and tell the sinks, until everything is done or somebody says stop.

    With finite sources (a file, stdin) it ends by itself, exit 0, when every
    watch has ended and been delivered. With a queue it runs until SIGTERM or
    SIGINT, then drains within limits.stop_deadline and exit_codes 143 or 130; a
    second signal ends it at once. SIGHUP checks the configuration file and says
    what a restart would find; the running one stays.

    Example:

        watcher run --config watcher.yaml
    """
    settings = read(config, os.environ, paths=True).settings
    configure(settings.logs)
    for sentence in settings.aws.deprecations():
        log.warning("deprecated_setting", hint=sentence)
    gc.collect()
    gc.freeze()  # what was imported stays: a collection that visits all of it again stops the loop for tens of milliseconds
    raise typer.Exit(anyio.run(serve, settings, config, backend_options=loop_options()))


async def serve(settings: Settings, config: Path | None = None) -> int:
    """Run an app under signals. Returns the exit code."""
    code, stopped = exit_codes.OK, _Stopped()
    # first of all somebody listens: to build an app takes a while, and a signal in it must not tear the loop apart
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as process:
            process.start_soon(_heed, signals, stopped, process.cancel_scope, config)
            async with build(settings) as app:
                stopped.app = app
                if stopped.by is not None:
                    app.stop()
                await app.run()
            process.cancel_scope.cancel()
    if stopped.by is not None:
        code = exit_codes.TERMINATED if stopped.by == signal.SIGTERM else exit_codes.INTERRUPTED
    return code


def loop_options() -> dict[str, bool]:
    """uvloop where it is installed: the same loop, faster."""
    try:
        import uvloop  # noqa: F401 - an extra that may be missing
    except ImportError:
        return {}
    return {"use_uvloop": True}


class _Stopped:
    """Which signal came first, and the app it is for."""

    def __init__(self) -> None:
        self.by: int | None = None
        self.app: App | None = None


async def _heed(signals: AsyncIterator[signal.Signals], stopped: _Stopped, process: anyio.CancelScope, config: Path | None) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            _check(config)
        elif stopped.by is None:
            stopped.by = number
            log.info("signal", signal=signal.Signals(number).name, hint="draining; a second signal ends it at once")
            if stopped.app is not None:
                stopped.app.stop()
        else:
            log.warning("second_signal", hint="ended at once; what is not delivered is delivered after the next start")
            process.cancel()
            return


def _check(config: Path | None) -> None:
    """What a restart would find. The running configuration stays as it is."""
    if config is None:
        return
    try:
        read(config, os.environ, paths=True)
    except ConfigMistakes as mistakes:
        log.error("configuration_not_taken", mistakes=list(mistakes.mistakes), hint="the running configuration stays; mend the file")  # noqa: TRY400 - the mistakes say it all
    else:
        log.info("configuration_good", hint="restart to take it: watches, outbox and pace are kept")
