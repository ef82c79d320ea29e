"""`watcher watch` and `watcher demo` as a person runs them: what is printed, and the exit codes that scripts read."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import CONNECTOR, NO_FILES, check_story, service, tasks, together, until
from watcher.model import TaskRef
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

SHORT = parse_durations("queue=fixed(0.1),run=fixed(1)")


def names(refs: list[TaskRef]) -> list[str]:
    return ["/".join(ref.params) for ref in refs]


async def watch_exits_by_how_the_tasks_ended(directory: Path) -> None:
    """0: all succeeded, with one line a change; 3: some failed or were stopped; --json prints the events and nothing else."""

    async def succeeds() -> None:
        async with simulator(Scenario(durations=SHORT, failed=0, stopped=0, partial=0)) as sim:
            watcher = service(directory, sim, "succeeds")
            assert await watcher.run("watch", *names(tasks(2))) == 0, watcher.words()
            lines = watcher.out.read_text().splitlines()
            assert sum("SUCCEEDED" in line for line in lines) == 2
            assert all(CONNECTOR in line for line in lines)
            assert watcher.words() == "", "nothing to complain of"

    async def fails(failed: float, name: str) -> None:
        async with simulator(Scenario(durations=SHORT, failed=failed, stopped=1 - failed, partial=0)) as sim:
            watcher = service(directory, sim, name)
            assert await watcher.run("watch", "--json", *names(tasks(2))) == 3, watcher.words()
            told = [json.loads(line) for line in watcher.out.read_text().splitlines()]
            check_story(told, tasks(2), sim)
            assert {event["data"]["to"] for event in told if event["data"]["terminal"]} == {name}

    async with anyio.create_task_group() as runs:
        runs.start_soon(succeeds)
        runs.start_soon(fails, 1.0, "FAILED")
        runs.start_soon(fails, 0.0, "STOPPED")


async def watch_exits_75_when_it_cannot_be_told(directory: Path) -> None:
    """No such task, nobody listening, a quota of 0, no credentials: each within its patience, and with a word that says which."""
    endpoint = {"AWS_ENDPOINT_URL_CHIME_SDK_VOICE": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "simulator", "AWS_SECRET_ACCESS_KEY": "simulator"}

    async def cannot(name: str, environment: dict[str, str], task: str, *words: str) -> None:
        watcher = WatcherProcess(directory, {**NO_FILES, **environment}, name)
        assert await watcher.run("watch", "--patience", "2", f"{CONNECTOR}/{task}") == 75, watcher.words()
        assert all(word in watcher.words() for word in (task, "could not be told", *words)), watcher.words()
        assert "Traceback" not in watcher.words()

    async with simulator(Scenario()) as sim, simulator(Scenario(quota=0, burst=0)) as fresh, anyio.create_task_group() as runs:
        runs.start_soon(cannot, "missing", sim.environment, "missing-task", "not_found")
        runs.start_soon(cannot, "refused", {**endpoint, **keys}, "task", "EndpointConnectionError")
        runs.start_soon(cannot, "keyless", endpoint, "task", "NoCredentialsError", "credentials")
        runs.start_soon(cannot, "fresh", fresh.environment, "task", "throttled")


async def watch_refuses_what_names_no_task_and_stops_on_ctrl_c(directory: Path) -> None:
    """64 for a name that is none, before anything is asked; 74, without a word, when nobody reads on; 130 for SIGINT in the middle."""
    async with simulator() as sim:

        async def refuses(n: int, name: str) -> None:
            watcher = service(directory, sim, f"refuses-{n}")
            assert await watcher.run("watch", name) == 64, watcher.words()
            assert "Traceback" not in watcher.words()

        async with anyio.create_task_group() as runs:
            for n, name in enumerate(("abc", "cat-search/a/b", f"{CONNECTOR}/..")):
                runs.start_soon(refuses, n, name)
        assert sim.stats.requests == 0

        reader, writer = os.pipe()
        command = [sys.executable, "-m", "watcher", "watch", "--json", *names(tasks(2, "pipe"))]
        async with await anyio.open_process(command, stdout=writer, env=service(directory, sim).environment) as piped:
            os.close(writer)
            await anyio.to_thread.run_sync(os.read, reader, 1)
            os.close(reader)
            assert piped.stderr is not None
            said = b"".join([part async for part in piped.stderr])
            assert (await piped.wait(), said) == (74, b""), said.decode()

        watcher = service(directory, sim)
        await watcher.start("watch", *names(tasks(1)))
        await until(lambda: "IN_QUEUE" in watcher.out.read_text(), watcher)
        watcher.send(signal.SIGINT)
        assert await watcher.wait(25) == 130, watcher.words()
        await watcher.kill()


async def the_demo_ends_by_itself_with_a_summary_and_on_ctrl_c_with_130(directory: Path) -> None:
    """`watcher demo --tasks 10` tells of all ten and sums up; SIGINT and SIGTERM in other ones end them without a word."""

    async def whole() -> None:
        watcher = WatcherProcess(directory, {}, "whole")
        assert await watcher.run("demo", "--tasks", "10", "--seed", "232", seconds=90) == 0, watcher.words()
        said = watcher.out.read_text()
        for word in ("10 of 10", "transitions", "calls for each task", "detection lag", "price of a call", "pace found", "throttled calls"):
            assert word in said, said

    async def ended(by: signal.Signals, code: int) -> None:
        (own := directory / by.name).mkdir()
        watcher = WatcherProcess(own, {"TMPDIR": str(own)}, "ended")
        await watcher.start("demo")
        await until(lambda: "IN_QUEUE" in watcher.out.read_text(), watcher)
        watcher.send(by)
        assert await watcher.wait(25) == code, watcher.words()
        await watcher.kill()
        assert watcher.words() == ""
        assert not list(own.glob("watcher-demo-*")), "nothing is left behind"

    async with anyio.create_task_group() as runs:
        runs.start_soon(whole)
        runs.start_soon(ended, signal.SIGINT, 130)
        runs.start_soon(ended, signal.SIGTERM, 143)


async def test_what_a_person_runs_ends_by_itself_with_its_exit_code(tmp_path: Path) -> None:
    """0, 3, 64, 75 and 130 of `watcher watch`, 0 and 130 of `watcher demo`."""
    await together(
        tmp_path,
        watch_exits_by_how_the_tasks_ended,
        watch_exits_75_when_it_cannot_be_told,
        watch_refuses_what_names_no_task_and_stops_on_ctrl_c,
        the_demo_ends_by_itself_with_a_summary_and_on_ctrl_c_with_130,
    )
