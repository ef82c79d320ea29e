"""A disk that hangs: a write never returns. A real process whose own calls hang stands for it.

The kernel offers no disk that hangs to a test without privileges, so Python's start-up hook replaces the last call before the kernel:
`os.fsync` for the sink, and the COMMIT of SQLite, inside its C code and in its own thread, for the store. As with a real disk, the thread
cannot be ended from outside.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.log_events import BY_FORCE, SECOND_SIGNAL, SIGNAL, STARTED
from tests.e2e.scene import ENDLESS, RUN, configure, plain_lines, service, tasks, together, until
from tests.process import WatcherProcess
from watcher.simulator import Scenario, simulator

pytestmark = pytest.mark.process

START_UP = """
import os, sqlite3

fsync, connect = os.fsync, sqlite3.connect

def hang_if(what):
    with open("hang") as file:
        hangs = file.read() == what
    if hangs:
        open("hangs", "w").close()
        os.read(os.pipe()[0], 1)

def hanging_fsync(file):
    hang_if("sink")
    fsync(file)

def connect_to_hanging_disk(*args, **options):
    db = connect(*args, **options)
    db.set_trace_callback(lambda statement: hang_if("store") if statement == "COMMIT" else None)
    return db

os.fsync = hanging_fsync
sqlite3.connect = connect_to_hanging_disk
"""


@asynccontextmanager
async def on_a_hung_disk(directory: Path, what: str, stop_deadline: float) -> AsyncIterator[WatcherProcess]:
    """A watcher whose store or sink hangs in a write."""
    os.mkfifo(directory / "pipe")
    pipe = os.open(directory / "pipe", os.O_RDWR)
    limits: dict[str, Any] = {"stop_deadline": stop_deadline}
    configure(directory, sources=[{"type": "lines", "path": "pipe"}], limits=limits)
    (directory / "sitecustomize.py").write_text(START_UP)
    (directory / "hang").write_text("")
    try:
        async with simulator(Scenario(durations=ENDLESS)) as sim:
            watcher = service(directory, sim, PYTHONPATH=str(directory))
            with watcher.running(*RUN):
                await watcher.until_logged(STARTED)
                (directory / "hang").write_text(what)
                os.write(pipe, plain_lines(tasks(3)).encode())
                await until((directory / "hangs").exists, watcher)
                yield watcher
    finally:
        os.close(pipe)


async def ends_at_the_second_signal(directory: Path, what: str) -> None:
    async with on_a_hung_disk(directory, what, stop_deadline=600) as watcher:
        watcher.send(signal.SIGTERM)
        await watcher.until_logged(SIGNAL)
        assert not watcher.ended
        watcher.send(signal.SIGTERM)
        assert await watcher.wait() == 143, watcher.text()
        assert watcher.lines(SECOND_SIGNAL)


async def ends_at_its_deadline(directory: Path, what: str) -> None:
    async with on_a_hung_disk(directory, what, stop_deadline=1) as watcher:
        watcher.send(signal.SIGINT)
        assert await watcher.wait() == 130, watcher.text()
        assert watcher.lines(BY_FORCE)


async def store(directory: Path) -> None:
    await ends_at_the_second_signal(directory, "store")


async def sink(directory: Path) -> None:
    await ends_at_the_second_signal(directory, "sink")


async def store_at_the_deadline(directory: Path) -> None:
    await ends_at_its_deadline(directory, "store")


async def sink_at_the_deadline(directory: Path) -> None:
    await ends_at_its_deadline(directory, "sink")


async def test_signals_end_a_process_whose_disk_hangs(tmp_path: Path) -> None:
    """The second signal at once, and the first one after the stop deadline, whether the store or a file sink hangs."""
    await together(tmp_path, store, sink, store_at_the_deadline, sink_at_the_deadline)
