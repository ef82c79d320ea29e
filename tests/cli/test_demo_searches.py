"""When `watcher demo --serve` starts searches, which ones it submits again, and where it keeps its state."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from watcher.cli.demo_searches import CONNECTOR, LONGEST_S, PERIOD_S, SHORTEST_S, SUBMITTED_AGAIN, SearchStarter, mean_gap_s
from watcher.cli.demo_state import DemoState, default_directory
from watcher.simulator import Scenario, TaskTable
from watcher.simulator.simulated_kinds import SPEAKER_SEARCH


def test_searches_come_in_waves() -> None:
    """The demo begins at a busy moment, is quiet half a period later, and is busy again after a period."""
    assert mean_gap_s(0) == pytest.approx(SHORTEST_S)
    assert mean_gap_s(PERIOD_S / 2) == pytest.approx(LONGEST_S)
    assert mean_gap_s(PERIOD_S) == pytest.approx(SHORTEST_S)


def test_the_state_is_where_users_keep_it() -> None:
    """XDG_STATE_HOME decides, if it is absolute."""
    assert default_directory({"XDG_STATE_HOME": "/state"}) == Path("/state/watcher-demo")
    assert default_directory({"XDG_STATE_HOME": "state"}) == Path("~/.local/state/watcher-demo").expanduser()
    assert default_directory({}) == Path("~/.local/state/watcher-demo").expanduser()


def test_a_large_file_of_events_is_renamed(tmp_path: Path) -> None:
    """It is begun again, and one old file is kept, so that it does not fill the disk."""
    state = DemoState(tmp_path)
    state.limit_events()
    state.events.write_text("{}\n")
    state.limit_events()
    assert state.events.exists()
    os.truncate(state.events, 20_000_000)
    state.limit_events()
    assert [each.name for each in tmp_path.iterdir()] == ["events.jsonl.1"]


@pytest.mark.looptime
async def test_a_restart_submits_the_newest_searches_again(tmp_path: Path) -> None:
    """A pipe loses what was not read at a kill: the newest searches are submitted again, and new ones have new ids."""
    os.mkfifo(pipe := tmp_path / "tasks")
    tasks = TaskTable(Scenario())
    tasks.ensure(SPEAKER_SEARCH, "myConnector", "of-a-user", 0.0)

    async def submitted(seconds: float) -> list[str]:
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with anyio.move_on_after(seconds):
            await SearchStarter(tasks, pipe, 30).run()
        lines = os.read(reader, 65_536).decode().splitlines()
        os.close(reader)
        return lines

    first = await submitted(11.9)
    assert len(first) == 30
    assert all(line.startswith(f"{CONNECTOR}/") for line in first)
    again = await submitted(60)
    assert again[:SUBMITTED_AGAIN] == first[-SUBMITTED_AGAIN:]
    assert len(set(again[SUBMITTED_AGAIN:]) - set(first)) == len(again) - SUBMITTED_AGAIN >= 10
