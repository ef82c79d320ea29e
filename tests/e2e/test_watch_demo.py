"""`watcher watch` and `watcher demo` as a person runs them: what they print, and the exit codes that scripts read."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import anyio
import pytest

from tests.e2e.scene import CONNECTOR, NO_FILES, check_events, service, tasks, together, until
from tests.process import HANG_S, PYTHON, WatcherProcess, process
from watcher.model import TaskRef
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

SHORT = parse_durations("queue=fixed(0.1),run=fixed(1)")
LONG = parse_durations("queue=fixed(0.1),run=never")


def names(refs: list[TaskRef]) -> list[str]:
    """The tasks as arguments."""
    return ["/".join(ref.params) for ref in refs]


async def all_succeed(directory: Path) -> None:
    """Exit 0, one line for each transition on stdout, with the whole key of the task, nothing on stderr."""
    async with simulator(Scenario(durations=SHORT, failed=0, stopped=0, partial=0)) as sim:
        watcher = service(directory, sim)
        assert await watcher.run("watch", *names(tasks(2))) == 0, watcher.text()
        lines = watcher.out.read_text().splitlines()
        assert sum("SUCCEEDED" in line for line in lines) == 2
        assert all(any(ref.key in line for ref in tasks(2)) for line in lines), lines
        assert sum("new speaker-search → " in line for line in lines) == 2
        assert watcher.text() == "", "stderr is empty"


async def some_fail(directory: Path) -> None:
    """Exit 3 when tasks failed or were stopped; `--json` prints the events and nothing else."""

    async def one(failed: float, status: str) -> None:
        async with simulator(Scenario(durations=SHORT, failed=failed, stopped=1 - failed, partial=0)) as sim:
            watcher = service(directory, sim, status)
            assert await watcher.run("watch", "--json", *names(tasks(2))) == 3, watcher.text()
            found = [json.loads(line) for line in watcher.out.read_text().splitlines()]
            check_events(found, tasks(2), sim)
            assert {event["data"]["to"] for event in found if event["data"]["terminal"]} == {status}

    await one(1.0, "FAILED")
    await one(0.0, "STOPPED")


async def no_answer(directory: Path) -> None:
    """Exit 75 for a task that does not exist, one that is denied or busy, a refused connection, and a quota of 0."""
    keys = {"AWS_ACCESS_KEY_ID": "simulator", "AWS_SECRET_ACCESS_KEY": "simulator"}

    async def one(name: str, environment: dict[str, str], task: str, *words: str) -> None:
        watcher = WatcherProcess(directory, {**NO_FILES, **environment}, name)
        assert await watcher.run("watch", "--patience", "2", f"{CONNECTOR}/{task}") == 75, watcher.text()
        assert all(word in watcher.text() for word in (task, *words)), watcher.text()
        assert "Traceback" not in watcher.text()

    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{refusing.getsockname()[1]}"
        endpoint = {"AWS_ENDPOINT_URL_CHIME_SDK_VOICE": url, "AWS_REGION": "us-east-1"}
        async with simulator(Scenario()) as sim, simulator(Scenario(quota=0, burst=0)) as new, anyio.create_task_group() as runs:
            runs.start_soon(one, "missing", sim.environment, "missing-task", "not_found", "of the kind speaker-search")
            runs.start_soon(one, "denied", sim.environment, "denied-task", "denied")
            runs.start_soon(one, "busy", sim.environment, "busy-task", "busy")
            runs.start_soon(one, "refused", {**endpoint, **keys}, "task", "EndpointConnectionError", "AWS_ENDPOINT_URL")
            runs.start_soon(one, "new", new.environment, "task", "throttled")


async def a_wrong_setup(directory: Path) -> None:
    """Exit 78 after a second try, long before the patience ends, with what to change and nothing that is untrue for this command."""
    keys = {"AWS_ACCESS_KEY_ID": "simulator", "AWS_SECRET_ACCESS_KEY": "simulator"}
    region = {"AWS_REGION": "us-east-1"}

    async def one(name: str, environment: dict[str, str], code: str) -> None:
        watcher = WatcherProcess(directory, {**NO_FILES, **environment}, name)
        assert await watcher.run("watch", "--patience", "86400", f"{CONNECTOR}/task") == 78, watcher.text()
        assert code in watcher.text()
        assert "Watches are kept" not in watcher.text()
        assert "no answer" not in watcher.text(), "nothing was asked"

    async with anyio.create_task_group() as runs:
        runs.start_soon(one, "keyless", region, "NoCredentialsError")
        runs.start_soon(one, "half", {**region, "AWS_ACCESS_KEY_ID": "simulator"}, "PartialCredentialsError")
        runs.start_soon(one, "region", {**keys, "AWS_REGION": "foo_bar"}, "InvalidRegionError")
        runs.start_soon(one, "endpoint", {**keys, **region, "AWS_ENDPOINT_URL": "foo"}, "invalid_url")


async def an_argument_that_names_no_task(directory: Path) -> None:
    """Exit 64 before anything is polled."""
    async with simulator() as sim:
        watcher = service(directory, sim)
        assert await watcher.run("watch", "cat-search/a/b") == 64, watcher.text()
        assert "Traceback" not in watcher.text()
    assert sim.stats.requests == 0


async def a_reader_that_leaves(directory: Path) -> None:
    """Exit 74, and nothing on stderr, when the pipe at stdout is closed."""
    async with simulator(Scenario(durations=SHORT)) as sim:
        reader, writer = os.pipe()
        command = [PYTHON, "-m", "watcher", "watch", "--json", *names(tasks(2))]
        environment = service(directory, sim).environment
        with (directory / "stderr").open("wb") as stderr, process(command, stdout=writer, stderr=stderr, env=environment) as watch:
            os.close(writer)
            with anyio.fail_after(HANG_S):
                await anyio.wait_readable(reader)
            os.close(reader)
            code = await anyio.to_thread.run_sync(watch.wait, HANG_S)
    assert (code, (directory / "stderr").read_text()) == (74, "")


async def ctrl_c(directory: Path) -> None:
    """Exit 130 for SIGINT and 143 for SIGTERM while tasks are open."""
    async with simulator(Scenario(durations=LONG)) as sim:
        for number, code in {signal.SIGINT: 130, signal.SIGTERM: 143}.items():
            watcher = service(directory, sim, number.name)
            with watcher.running("watch", *names(tasks(1))):
                await until(lambda out=watcher.out: "/task-0000" in out.read_text(), watcher)
                watcher.send(number)
                assert await watcher.wait() == code, watcher.text()


async def the_whole_demo(directory: Path) -> None:
    """It follows all tasks to their ends, prints a summary, and exits with 0."""
    watcher = WatcherProcess(directory, {})
    assert await watcher.run("demo", "--tasks", "10", "--seed", "232") == 0, watcher.text()
    output = watcher.out.read_text()
    for word in (
        "10 of 10",
        "transitions",
        "calls for each task",
        "price of a call",
        "the quota is 10",
        "throttled calls",
        "a loop, every 5 s",
    ):
        assert word in output, output


async def an_interrupted_demo(directory: Path) -> None:
    """SIGINT and SIGTERM end it with 130 and 143, nothing on stderr, and no temporary files left."""

    async def one(number: signal.Signals, code: int) -> None:
        (own := directory / number.name).mkdir()
        watcher = WatcherProcess(own, {"TMPDIR": str(own)})
        with watcher.running("demo"):
            await until(lambda: "IN_QUEUE" in watcher.out.read_text(), watcher)
            watcher.send(number)
            assert await watcher.wait() == code, watcher.text()
        assert watcher.text() == ""
        assert not list(own.glob("watcher-demo-*")), "temporary files are removed"

    async with anyio.create_task_group() as runs:
        runs.start_soon(one, signal.SIGINT, 130)
        runs.start_soon(one, signal.SIGTERM, 143)


async def test_watch_exits_when_all_tasks_ended(tmp_path: Path) -> None:
    """0 when all succeeded; 64 for an argument that names no task."""
    await together(tmp_path, all_succeed, an_argument_that_names_no_task)


async def test_the_demo_ends_with_a_summary(tmp_path: Path) -> None:
    """0 at its end."""
    await together(tmp_path, the_whole_demo)


@pytest.mark.slow
async def test_watch_exits_when_it_cannot_go_on(tmp_path: Path) -> None:
    """3 when some failed or were stopped, 74 without a reader, 75 without an answer, 78 for a wrong setup, 130 for Ctrl-C."""
    await together(tmp_path, some_fail, no_answer, a_wrong_setup, a_reader_that_leaves, ctrl_c)


@pytest.mark.slow
async def test_a_signal_ends_the_demo(tmp_path: Path) -> None:
    """130 for SIGINT, 143 for SIGTERM."""
    await together(tmp_path, an_interrupted_demo)
