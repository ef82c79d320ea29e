"""Sources that end: `watcher run` exits with 0 when everything is done. A named pipe does not end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.log_events import INPUT_REJECTED, STARTED
from tests.e2e.scene import (
    QUIET,
    RUN,
    check_events,
    configure,
    dead_letters,
    ends,
    events,
    plain_lines,
    service,
    tasks,
    together,
    until,
)
from watcher.simulator import Simulator, simulator

pytestmark = pytest.mark.process


async def stdin_to_stdout(directory: Path) -> None:
    """Tasks on stdin become one event a line on stdout; the log goes to stderr."""
    refs = tasks(3)
    configure(directory, sources=[{"type": "lines", "path": "-"}], sinks=[{"type": "jsonl", "path": "-"}])
    async with simulator(QUIET) as sim:
        watcher = service(directory, sim)
        given = "# three tasks\n\n" + plain_lines(refs)
        assert await watcher.run(*RUN, stdin=given.removesuffix("\n").encode()) == 0, watcher.text()
        check_events([json.loads(line) for line in watcher.out.read_text().splitlines()], refs, sim)
        assert watcher.lines(STARTED), "the log is on stderr"


async def files_with_nothing_to_watch(directory: Path) -> None:
    """An empty file ends the run at once; a file of invalid lines leaves dead letters and no event."""
    invalid = ("not json", "{}", "[]", "null", f"{'a' * 30}/..", "\x00", '{"VoiceConnectorId": "abc"}')

    async def one(name: str, text: str, rejected: int, sim: Simulator) -> None:
        own = directory / name
        own.mkdir()
        configure(own)
        (own / "tasks.txt").write_text(text)
        watcher = service(own, sim)
        assert await watcher.run(*RUN) == 0, watcher.text()
        assert len(watcher.lines(INPUT_REJECTED)) == rejected
        assert len(await dead_letters(watcher)) == rejected
        assert events(own / "events.jsonl") == []

    async with simulator() as sim:
        await one("empty", "", 0, sim)
        await one("invalid", "\n".join(invalid), len(invalid), sim)
    assert sim.stats.requests == 0, "nothing was polled"


async def a_named_pipe(directory: Path) -> None:
    """What each writer of a pipe wrote is watched, and the run goes on until SIGTERM."""
    refs, pipe = tasks(4), directory / "tasks.txt"
    os.mkfifo(pipe)
    configure(directory)
    async with simulator(QUIET) as sim:
        watcher = service(directory, sim)
        with watcher.running(*RUN):
            for some in (refs[:2], refs[2:]):
                writer = await until(lambda: writer_of(pipe), watcher)
                os.write(writer, plain_lines(some).encode())
                os.close(writer)
                await until(lambda some=some: {ref.key for ref in some} <= ends(directory / "events.jsonl"), watcher)
            assert not watcher.ended
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143
        check_events(events(directory / "events.jsonl"), refs, sim)


def writer_of(pipe: Path) -> int | None:
    """A descriptor to write to the pipe; None while nothing reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


async def test_a_run_ends_when_its_sources_do(tmp_path: Path) -> None:
    """Stdin and files end the run with 0, also empty files and files of invalid lines; a named pipe does not."""
    await together(tmp_path, stdin_to_stdout, files_with_nothing_to_watch, a_named_pipe)
