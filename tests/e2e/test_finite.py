"""Sources that end: `watcher run` ends by itself, exit 0, when everything is done. And a named pipe, which does not end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from tests.e2e.scene import check_story, configure, ends, events, plain_lines, service, tasks, until
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.laws import parse_durations

pytestmark = pytest.mark.process

SHORT = parse_durations("queue=fixed(0.1),run=fixed(0.5)")


async def test_stdin_in_events_out_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    """As in a shell: tasks on stdin, one event a line on stdout, the log on stderr, and the end by itself."""
    refs = tasks(3)
    configure(tmp_path, sources=[{"type": "lines", "path": "-"}], sinks=[{"type": "jsonl", "path": "-"}])
    async with simulator(Scenario(partial=0, durations=SHORT)) as sim:
        watcher = service(tmp_path, sim)
        given = "# three tasks\n\n" + plain_lines(refs)
        assert await watcher.run("run", "--config", "watcher.yaml", stdin=given.removesuffix("\n").encode()) == 0, watcher.words()
        told = [json.loads(line) for line in watcher.out.read_text().splitlines()]
        check_story(told, refs, sim)
        assert watcher.lines("watching"), "the log is on stderr"


async def test_files_with_nothing_to_watch_end_the_run_with_0(tmp_path: Path) -> None:
    """An empty file is done at once; of a file with only poison the dead letters are left, and no event."""
    poison = ("not json", "{}", "[]", "null", f"{'a' * 30}/..", "\x00", '{"VoiceConnectorId": "abc"}')

    async def one(name: str, text: str, letters: int, sim: Simulator) -> None:
        directory = tmp_path / name
        directory.mkdir()
        configure(directory)
        (directory / "tasks.txt").write_text(text)
        watcher = service(directory, sim)
        assert await watcher.run("run", "--config", "watcher.yaml") == 0, watcher.words()
        assert len(watcher.lines("input_rejected")) == letters
        lister = service(directory, sim, "letters")
        assert await lister.run("dead-letters", "list", "--config", "watcher.yaml", "--json") == 0, lister.words()
        assert len(json.loads(lister.out.read_text())) == letters
        assert events(directory / "events.jsonl") == []

    async with simulator() as sim, anyio.create_task_group() as both:
        both.start_soon(one, "empty", "", 0, sim)
        both.start_soon(one, "poison", "\n".join(poison), len(poison), sim)
    assert sim.stats.requests == 0, "nobody was asked about anything"


async def test_a_named_pipe_waits_for_its_next_writer(tmp_path: Path) -> None:
    """Writers come and go; what each one wrote is watched, and the run goes on until it is told to stop."""
    refs = tasks(4)
    os.mkfifo(tmp_path / "tasks.txt")
    configure(tmp_path)
    async with simulator(Scenario(partial=0, durations=SHORT)) as sim:
        watcher = service(tmp_path, sim)
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            for some in (refs[:2], refs[2:]):
                await anyio.to_thread.run_sync((tmp_path / "tasks.txt").write_text, plain_lines(some))
                await until(lambda some=some: {ref.key for ref in some} <= ends(tmp_path / "events.jsonl"), watcher)
            assert not watcher.ended
            watcher.send(signal.SIGTERM)
            assert await watcher.wait(25) == 143
            check_story(events(tmp_path / "events.jsonl"), refs, sim)
        finally:
            await watcher.kill()
