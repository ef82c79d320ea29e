"""What goes wrong round a running watcher: its store, its port, the network, quota, credentials, queue. It says so, and heals by itself
where that is possible."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import (
    NO_FILES,
    check_story,
    configure,
    ends,
    events,
    free_port,
    plain_lines,
    service,
    tasks,
    together,
    until,
    until_ready,
)
from tests.moto_server import environment, plain_client
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

SHORT = parse_durations("queue=fixed(0.1),run=fixed(0.5)")
QUIET = Scenario(partial=0, durations=SHORT)


@asynccontextmanager
async def ready_to_run(directory: Path, sim: Simulator, count: int = 3, **sections: Any) -> AsyncIterator[tuple[WatcherProcess, str]]:
    """A watcher on a file of tasks with /readyz, started. Yields it and its URL."""
    port = free_port()
    configure(directory, **{"api": {"listen": f"127.0.0.1:{port}"}, "cadence": {"type": "fixed", "every": 0.5}, **sections})
    (directory / "tasks.txt").write_text(plain_lines(tasks(count)))
    watcher = service(directory, sim)
    await watcher.start("run", "--config", "watcher.yaml")
    try:
        yield watcher, f"http://127.0.0.1:{port}"
    finally:
        await watcher.kill()


async def test_stores_that_cannot_be_used_end_the_run_with_74_and_their_path(tmp_path: Path) -> None:
    """Owned by another process (which is named), from a newer version, no store at all: said in one line."""
    (tmp_path / "other").write_bytes(b"this is no database" * 100)
    with sqlite3.connect(tmp_path / "newer") as db:
        db.execute("CREATE TABLE watches (n)")
        db.execute(f"PRAGMA application_id = {0x57617463}")
        db.execute("PRAGMA user_version = 99")
    db.close()

    async def refused(path: str, *words: str) -> None:
        (directory := tmp_path / f"second-{path}").mkdir()
        configure(directory, store={"type": "sqlite", "path": str(tmp_path / path)})
        (directory / "tasks.txt").write_text("")
        second = service(directory, sim)
        code = await second.run("run", "--config", "watcher.yaml")
        last = second.words().splitlines()[-1]
        assert code == 74, second.words()
        assert str(tmp_path / path) in last, last
        assert all(word in last for word in words), last
        assert "Traceback" not in second.words()

    async with simulator(Scenario(faults={"503": 1.0})) as sim, ready_to_run(tmp_path, sim) as (owner, _):
        await owner.until_logged("watching")
        async with anyio.create_task_group() as runs:
            runs.start_soon(refused, "watcher.db", "another watcher", str(owner.pid))
            runs.start_soon(refused, "newer", "newer")
            runs.start_soon(refused, "other", "not a SQLite database")
        assert not owner.ended, "the owner does not notice"


async def test_a_full_disk_stops_the_intake_and_heals(moto_url: str, tmp_path: Path) -> None:
    """While the store cannot write, nothing is acknowledged and /readyz says why; with space it goes on, and nothing is lost."""
    refs, file = tasks(4), tmp_path / "events.jsonl"
    sqs = plain_client("sqs", moto_url)
    queue = await anyio.to_thread.run_sync(lambda: sqs.create_queue(QueueName="tasks")["QueueUrl"])
    port = free_port()
    source = {"type": "sqs", "queue_url": queue, "wait": 1, "visibility": 5}
    configure(tmp_path, sources=[source], api={"listen": f"127.0.0.1:{port}"}, cadence={"type": "fixed", "every": 0.5})
    async with simulator(QUIET) as sim:
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            await until_ready(f"http://127.0.0.1:{port}", True, watcher)
            await anyio.to_thread.run_sync(_send, sqs, queue, refs[:2])
            await until(lambda: len(ends(file)) == 2, watcher)
            _disk(watcher.pid, (tmp_path / "watcher.db-wal").stat().st_size)
            await anyio.to_thread.run_sync(_send, sqs, queue, refs[2:])
            components = await until_ready(f"http://127.0.0.1:{port}", False, watcher)
            assert not components["store"]["ok"], components
            assert "watcher.db" in components["store"]["reason"]
            assert components["store"]["hint"]
            assert await anyio.to_thread.run_sync(_left, sqs, queue) == 2, "nothing is acknowledged that is not stored"
            asked = sim.stats.requests
            await anyio.sleep(1.0)
            assert sim.stats.requests == asked, "nothing was taken in"
            assert not watcher.lines("component_healthy"), "that reads still work does not make it ready"
            _disk(watcher.pid, resource.RLIM_INFINITY)
            await until_ready(f"http://127.0.0.1:{port}", True, watcher)
            await until(lambda: len(ends(file)) == len(refs), watcher)
            check_story(events(file), refs, sim)
            assert await anyio.to_thread.run_sync(_left, sqs, queue) == 0
        finally:
            await watcher.kill()


def _disk(pid: int, size: int) -> None:
    """No file of this process may grow beyond `size` bytes: to it, the disk is full."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can change the limits of another process")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_a_port_in_use_ends_the_run_with_78_and_names_it(tmp_path: Path) -> None:
    """Before anything is taken in."""
    async with simulator(QUIET) as sim:
        configure(tmp_path, api={"listen": f"127.0.0.1:{sim.port}"})
        (tmp_path / "tasks.txt").write_text(plain_lines(tasks(1)))
        watcher = service(tmp_path, sim)
        assert await watcher.run("run", "--config", "watcher.yaml") == 78
        last = watcher.words().splitlines()[-1]
        assert f"127.0.0.1:{sim.port}" in last
        assert "EADDRINUSE" in last
        assert sim.stats.requests == 0


async def an_endpoint_that_refuses_is_waited_for(directory: Path) -> None:
    """Nobody listens where the service should be: the process stays up, no watch fails, and it goes on when somebody does."""
    refs, port = tasks(2), free_port()
    configure(directory, cadence={"type": "fixed", "every": 0.5})
    (directory / "tasks.txt").write_text(plain_lines(refs))
    keys = {"AWS_ACCESS_KEY_ID": "simulator", "AWS_SECRET_ACCESS_KEY": "simulator", "AWS_REGION": "us-east-1"}
    watcher = WatcherProcess(directory, {**NO_FILES, **keys, "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": f"http://127.0.0.1:{port}"})
    await watcher.start("run", "--config", "watcher.yaml")
    await watcher.until_logged("watching")
    await anyio.sleep(1.5)
    assert not watcher.ended, watcher.words()
    async with simulator(QUIET, port=port) as sim:
        assert await watcher.wait(60) == 0, watcher.words()
        check_story(events(directory / "events.jsonl"), refs, sim)
    await watcher.kill()


async def a_quota_of_0_is_said_by_its_name_and_not_hammered(directory: Path) -> None:
    """A fresh account: every call is throttled. Not ready, with the quota to raise; few calls; and it begins when it is raised."""
    async with simulator(Scenario(partial=0, durations=SHORT, quota=0, burst=0)) as sim, ready_to_run(directory, sim, 1) as (watcher, url):
        components = await until_ready(url, False, watcher)
        assert "0" in components["quota:speaker-search"]["reason"]
        assert "Speaker search" in components["quota:speaker-search"]["hint"], components
        line = await watcher.until_logged("component_unhealthy")
        assert line["hint"] == components["quota:speaker-search"]["hint"]
        assert sim.stats.requests <= 5, "three calls told it; it waits longer each time"
        sim.change(quota=100.0, burst=100.0)
        assert await watcher.wait(60) == 0, watcher.words()
        check_story(events(directory / "events.jsonl"), tasks(1), sim)


async def wrong_credentials_are_never_the_fault_of_a_task(directory: Path) -> None:
    """Rejected signatures: not ready, with a hint, at a slow pace; when the service takes them it heals by itself."""
    async with simulator(QUIET) as sim:
        sim.change(credentials={"simulator": "changed meanwhile"})
        watcher = service(directory, sim, AWS_SECRET_ACCESS_KEY="simulator")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        configure(directory, api={"listen": f"127.0.0.1:{port}"}, cadence={"type": "fixed", "every": 0.5})
        (directory / "tasks.txt").write_text(plain_lines(tasks(2)))
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            components = await until_ready(url, False, watcher)
            assert not components["circuit:credentials"]["ok"]
            assert "credentials" in components["circuit:credentials"]["hint"]
            await anyio.sleep(1.0)
            assert sim.stats.outcomes["signature"] == sim.stats.requests <= 3, "no storm of refused calls"
            sim.change(credentials={"simulator": "simulator"})
            assert await watcher.wait(60) == 0, watcher.words()
            check_story(events(directory / "events.jsonl"), tasks(2), sim)
        finally:
            await watcher.kill()


async def test_trouble_in_asking_is_never_trouble_of_a_task(tmp_path: Path) -> None:
    """Nobody listens, a quota of 0, wrong credentials: not ready, said once with what to do, few calls; and it heals by itself."""
    await together(
        tmp_path,
        an_endpoint_that_refuses_is_waited_for,
        a_quota_of_0_is_said_by_its_name_and_not_hammered,
        wrong_credentials_are_never_the_fault_of_a_task,
    )


async def test_a_queue_that_is_not_there_delays_only_its_own_source(moto_url: str, tmp_path: Path) -> None:
    """Missing at the start, made, deleted, made again: each time not ready and ready again, in one process; a file is read meanwhile."""
    refs, file = tasks(3), tmp_path / "events.jsonl"
    sqs, port = plain_client("sqs", moto_url), free_port()
    address, url = f"{moto_url}/123456789012/tasks", f"http://127.0.0.1:{port}"
    sources = [{"type": "sqs", "queue_url": address, "wait": 1, "receivers": 1}, {"type": "lines", "path": "tasks.txt"}]
    configure(tmp_path, sources=sources, api={"listen": f"127.0.0.1:{port}"}, cadence={"type": "fixed", "every": 0.5})
    (tmp_path / "tasks.txt").write_text(plain_lines(refs[:1]))
    async with simulator(QUIET) as sim:
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            for ref in refs[1:]:
                components = await until_ready(url, False, watcher)
                assert [name for name, condition in components.items() if not condition["ok"]] == ["source:sqs"]
                assert components["source:sqs"]["reason"].startswith("not_found")
                assert components["source:sqs"]["hint"]
                await anyio.to_thread.run_sync(lambda: sqs.create_queue(QueueName="tasks"))
                await until_ready(url, True, watcher)
                await anyio.to_thread.run_sync(_send, sqs, address, [ref])
                await until(lambda ref=ref: ref.key in ends(file), watcher)
                await anyio.to_thread.run_sync(lambda: sqs.delete_queue(QueueUrl=address))
            await until(lambda: refs[0].key in ends(file), watcher)
            watcher.send(signal.SIGTERM)
            assert await watcher.wait(25) == 143
            check_story(events(file), refs, sim)
        finally:
            await watcher.kill()


def _send(sqs: Any, queue: str, refs: list[Any]) -> None:
    for ref in refs:
        body = json.dumps({"VoiceConnectorId": ref.params[0], "SpeakerSearchTaskId": ref.params[1]})
        sqs.send_message(QueueUrl=queue, MessageBody=body)


def _left(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)
