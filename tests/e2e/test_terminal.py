"""`watcher watch` and `watcher demo` on a terminal of 80 columns: one row for each task, or lines where rows are not wanted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from tests.e2e.scene import NO_FILES, service
from tests.process import PYTHON
from tests.terminal import Seen, on_terminal
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

LONG = "qrstuvwxyzabcdefghijk1"
IDS = ["4af03b6c-9d1e-4a55-8c1b-77e0d2f1a3b9", "b7710c55-1f3a-4e0d-9a52-1c2b3d4e5f60", "c0ffee00-aaaa-4bbb-8ccc-ddddeeeeffff"]
ENDS = ["succeeded-", "failed-", "partial-"]
SCENARIO = Scenario(durations=parse_durations("queue=fixed(0.3),run=fixed(2)"), latency="0.01")


def environment(directory: Path, sim: Simulator, **more: str) -> dict[str, str]:
    """The variables of a process whose AWS is the simulator, on a terminal that can do everything."""
    own = service(directory, sim).environment
    kept = {name: value for name, value in own.items() if name not in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "CI")}
    return {**kept, **NO_FILES, "TERM": "xterm-256color", **more}


async def watched(directory: Path, *options: str, **variables: str) -> Seen:
    """What `watcher watch` shows of three tasks with long ids."""
    async with simulator(SCENARIO) as sim:
        tasks = [f"{LONG}/{prefix}{id_}" for prefix, id_ in zip(ENDS, IDS, strict=True)]
        command = [PYTHON, "-m", "watcher", "watch", *options, *tasks]
        return await anyio.to_thread.run_sync(on_terminal, command, environment(directory, sim, **variables))


async def test_each_task_has_one_row(tmp_path: Path) -> None:
    """On a terminal the rows are updated: at the end there is one line for each task, its last one, and no line was ever too long."""
    seen = await watched(tmp_path)
    assert seen.code == 3, seen.raw
    assert max(seen.widths()) <= 80
    assert seen.updates > 3
    assert b"speaker-search: 0 of 3 ended" in seen.raw
    lines = [line for line in seen.final() if "→" in line]
    assert sorted(line.split("→")[1].split()[0] for line in lines) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    for prefix, id_ in zip(ENDS, IDS, strict=True):
        assert [line for line in lines if f"/{prefix[:6]}" in line and id_[-6:] in line], lines


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
async def test_rows_are_updated_only_where_they_are_wanted(tmp_path: Path, variables: Mapping[str, str]) -> None:
    """With NO_COLOR or TERM=dumb, nothing is erased: each transition is a line of at most 80 columns."""
    seen = await watched(tmp_path, **variables)
    assert seen.code == 3, seen.raw
    assert seen.updates == 0
    assert max(seen.widths()) <= 80
    assert len([line for line in seen.final() if "→" in line]) == seen.raw.decode().count("→") >= 3


async def test_json_is_whole_on_a_terminal(tmp_path: Path) -> None:
    """`--json` prints the events unchanged on a terminal too: ids are whole, and nothing is between them."""
    seen = await watched(tmp_path, "--json")
    events = [json.loads(line) for line in seen.raw.decode().splitlines()]
    assert {event["subject"].rpartition("/")[2] for event in events} == {f"{prefix}{id_}" for prefix, id_ in zip(ENDS, IDS, strict=True)}


async def test_more_tasks_than_lines(tmp_path: Path) -> None:
    """More open tasks than the terminal has lines are counted, and never scroll it."""
    async with simulator(Scenario(durations=parse_durations("queue=0,run=fixed(2)"), latency="0", stopped=0)) as sim:
        tasks = [f"{LONG}/succeeded-{n}" for n in range(14)]
        command = [PYTHON, "-m", "watcher", "watch", "--rate", "200", *tasks]
        run = lambda: on_terminal(command, environment(tmp_path, sim), 80, 10)  # noqa: E731
        seen = await anyio.to_thread.run_sync(run)
    assert seen.code == 0, seen.raw
    assert b"8 more open tasks" in seen.raw
    assert len([line for line in seen.final() if "SUCCEEDED" in line]) == 14


def test_what_to_do_is_below_the_rows(tmp_path: Path) -> None:
    """While nothing answers, the terminal shows what to check below the status, within its width."""
    variables = {**NO_FILES, "TERM": "xterm-256color", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    seen = on_terminal([PYTHON, "-m", "watcher", "watch", "--patience", "2", "a/b"], {**variables, **keys})
    assert seen.code == 75, seen.raw
    assert max(seen.widths()) <= 80
    shown = seen.raw.decode()
    assert shown.index("check that it is running") < shown.index("how the task ended is unknown")


@pytest.mark.slow
async def test_the_demo_fits_and_compares(tmp_path: Path) -> None:
    """The demo on a terminal shows no line of more than 80 columns, and ends with its lag beside that of a loop."""
    async with simulator() as sim:
        command = [PYTHON, "-m", "watcher", "demo", "--tasks", "6", "--quota", "8", "--seed", "5"]
        seen = await anyio.to_thread.run_sync(on_terminal, command, environment(tmp_path, sim))
    assert seen.code == 0, seen.raw
    assert max(seen.widths()) <= 80
    final = "\n".join(seen.final())
    for words in ("measured in this run", "this watcher", "a loop, every 5 s", "same 6 tasks", "8 calls per second"):
        assert words in final, final
    assert final.index("calls for each task") < final.index("a loop, every 5 s")
