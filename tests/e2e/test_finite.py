"""Sources that end: `watcher run` ends by itself, exit 0, when everything is done. And a named pipe, which does not end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from tests.e2e.scene import check_story, configure, ends, events, plain_lines, service, tasks, together, until
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

SHORT = parse_durations("queue=fixed(0.1),run=fixed(0.5)")


async def stdin_in_events_out_and_nothing_else_on_stdout(directory: Path) -> None:
    """As in a shell: tasks on stdin, one event a line on stdout, the log on stderr, and the end by itself."""
    refs = tasks(3)
    configure(directory, sources=[{"type": "lines", "path": "-"}], sinks=[{"type": "jsonl", "path": "-"}])
    async with simulator(Scenario(partial=0, durations=SHORT)) as sim:
        watcher = service(directory, sim)
        given = "# three tasks\n\n" + plain_lines(refs)
        assert await watcher.run("run", "--config", "watcher.yaml", stdin=given.removesuffix("\n").encode()) == 0, watcher.words()
        told = [json.loads(line) for line in watcher.out.read_text().splitlines()]
        check_story(told, refs, sim)
        assert watcher.lines("watching"), "the log is on stderr"


async def files_with_nothing_to_watch_end_the_run_with_0(directory: Path) -> None:
    """An empty file is done at once; of a file with only poison the dead letters are left, and no event."""
    poison = ("not json", "{}", "[]", "null", f"{'a' * 30}/..", "\x00", '{"VoiceConnectorId": "abc"}')

    async def one(name: str, text: str, letters: int, sim: Simulator) -> None:
        own = directory / name
        own.mkdir()
        configure(own)
        (own / "tasks.txt").write_text(text)
        watcher = service(own, sim)
        assert await watcher.run("run", "--config", "watcher.yaml") == 0, watcher.words()
        assert len(watcher.lines("input_rejected")) == letters
        lister = service(own, sim, "letters")
        assert await lister.run("dead-letters", "list", "--config", "watcher.yaml", "--json") == 0, lister.words()
        assert len(json.loads(lister.out.read_text())) == letters
        assert events(own / "events.jsonl") == []

    async with simulator() as sim, anyio.create_task_group() as both:
        both.start_soon(one, "empty", "", 0, sim)
        both.start_soon(one, "poison", "\n".join(poison), len(poison), sim)
    assert sim.stats.requests == 0, "nobody was asked about anything"


async def a_named_pipe_waits_for_its_next_writer(directory: Path) -> None:
    """Writers come and go; what each one wrote is watched, and the run goes on until it is told to stop."""
    refs = tasks(4)
    os.mkfifo(directory / "tasks.txt")
    configure(directory)
    async with simulator(Scenario(partial=0, durations=SHORT)) as sim:
        watcher = service(directory, sim)
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            for some in (refs[:2], refs[2:]):
                await anyio.to_thread.run_sync((directory / "tasks.txt").write_text, plain_lines(some))
                await until(lambda some=some: {ref.key for ref in some} <= ends(directory / "events.jsonl"), watcher)
            assert not watcher.ended
            watcher.send(signal.SIGTERM)
            assert await watcher.wait(25) == 143
            check_story(events(directory / "events.jsonl"), refs, sim)
        finally:
            await watcher.kill()


async def test_a_run_ends_by_itself_when_its_sources_do(tmp_path: Path) -> None:
    """Stdin and files, also empty ones and such with only poison, end; a named pipe does not."""
    await together(
        tmp_path,
        stdin_in_events_out_and_nothing_else_on_stdout,
        files_with_nothing_to_watch_end_the_run_with_0,
        a_named_pipe_waits_for_its_next_writer,
    )
