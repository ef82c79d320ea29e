"""Faults around a running watcher: its store, port, network, quota, credentials and queue. It reports them, and recovers where it can."""

from __future__ import annotations

import resource
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.log_events import HEALTHY, STARTED, UNHEALTHY
from tests.e2e.queues import Queue
from tests.e2e.scene import (
    NO_FILES,
    QUIET,
    RUN,
    check_events,
    configure,
    ends,
    events,
    free_port,
    message,
    plain_lines,
    ready,
    service,
    tasks,
    together,
    until,
    until_async,
    until_metric,
    until_ready,
)
from tests.moto_server import environment
from tests.process import WatcherProcess
from watcher.simulator import Scenario, Simulator, simulator

pytestmark = pytest.mark.process


@asynccontextmanager
async def running(directory: Path, sim: Simulator, count: int = 3, **environ: str) -> AsyncIterator[tuple[WatcherProcess, str]]:
    """A watcher on a file of tasks, with its API, started. Yields it and the URL of the API."""
    listen = f"127.0.0.1:{free_port()}"
    configure(directory, api={"listen": listen})
    (directory / "tasks.txt").write_text(plain_lines(tasks(count)))
    watcher = service(directory, sim, **environ)
    with watcher.running(*RUN):
        yield watcher, f"http://{listen}"


@pytest.mark.slow
async def test_a_store_that_cannot_be_used_ends_the_run_with_74_and_its_path(tmp_path: Path) -> None:
    """A store of another process (which is named), of a newer version, and a file that is no store are reported in one line."""
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
        code = await second.run(*RUN)
        last = second.text().splitlines()[-1]
        assert code == 74, second.text()
        assert str(tmp_path / path) in last, last
        assert all(word in last for word in words), last
        assert "Traceback" not in second.text()

    async with simulator(Scenario(faults={"503": 1.0})) as sim, running(tmp_path, sim) as (owner, _):
        await owner.until_logged(STARTED)
        await refused("watcher.db", "another watcher", str(owner.pid))
        await refused("newer", "newer")
        await refused("other", "not a SQLite database")
        assert not owner.ended, "the owner goes on"


@pytest.mark.slow
async def test_a_full_disk_stops_the_intake_until_there_is_space(moto_url: str, tmp_path: Path) -> None:
    """While the store cannot write, nothing is acknowledged and /readyz gives the reason; with space it goes on, and nothing is lost."""
    refs, file, queue = tasks(4), tmp_path / "events.jsonl", Queue(moto_url)
    await queue.create()
    listen = f"127.0.0.1:{free_port()}"
    url = f"http://{listen}"
    configure(tmp_path, sources=[{"type": "sqs", "queue_url": queue.url, "wait": 1, "visibility": 5}], api={"listen": listen})
    async with simulator(QUIET) as sim:
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        with watcher.running(*RUN):
            await until_ready(url, True, watcher)
            await queue.send(map(message, refs[:2]))
            await until(lambda: len(ends(file)) == 2, watcher)
            await until_async(queue.is_empty, watcher)
            _limit_files(watcher.pid, (tmp_path / "watcher.db-wal").stat().st_size)
            await queue.send(map(message, refs[2:]))
            components = await until_ready(url, False, watcher)
            assert not components["store"]["ok"], components
            assert "watcher.db" in components["store"]["reason"]
            assert components["store"]["hint"]
            polls = sim.stats.requests
            for _ in range(20):
                assert not (await ready(url))[0], "reads that still work do not make it ready"
            assert not watcher.lines(HEALTHY)
            assert await queue.left() == 2, "what is not stored is not acknowledged"
            assert sim.stats.requests == polls, "what is not stored is not polled"
            _limit_files(watcher.pid, resource.RLIM_INFINITY)
            await until_ready(url, True, watcher)
            await until(lambda: len(ends(file)) == len(refs), watcher)
            check_events(events(file), refs, sim)
            await until_async(queue.is_empty, watcher)


def _limit_files(pid: int, size: int) -> None:
    """Let no file of this process grow beyond `size` bytes, as on a full disk."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("only Linux can change the limits of another process")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def test_a_port_in_use_ends_the_run_with_78_and_names_it(tmp_path: Path) -> None:
    """The run ends before anything is taken in."""
    async with simulator(QUIET) as sim:
        configure(tmp_path, api={"listen": f"127.0.0.1:{sim.port}"})
        (tmp_path / "tasks.txt").write_text(plain_lines(tasks(1)))
        watcher = service(tmp_path, sim)
        assert await watcher.run(*RUN) == 78
        last = watcher.text().splitlines()[-1]
        assert f"127.0.0.1:{sim.port}" in last
        assert "EADDRINUSE" in last
        assert sim.stats.requests == 0


async def an_endpoint_that_refuses_connections(directory: Path) -> None:
    """While nothing listens where the service should be, no watch fails; the run goes on once something does."""
    refs, listen = tasks(2), f"127.0.0.1:{free_port()}"
    configure(directory, api={"listen": listen})
    (directory / "tasks.txt").write_text(plain_lines(refs))
    keys = {"AWS_ACCESS_KEY_ID": "simulator", "AWS_SECRET_ACCESS_KEY": "simulator", "AWS_REGION": "us-east-1"}
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", free_port()))  # nobody else takes the port meanwhile
        port = refusing.getsockname()[1]
        endpoint = {"AWS_ENDPOINT_URL_CHIME_SDK_VOICE": f"http://127.0.0.1:{port}"}
        watcher = WatcherProcess(directory, {**NO_FILES, **keys, **endpoint})
        with watcher.running(*RUN):
            sample = 'watcher_polls_total{kind="speaker-search",outcome="unavailable",target="default"}'
            await until_metric(f"http://{listen}", sample, watcher, 2)
            refusing.close()
            async with simulator(QUIET, port=port) as sim:
                assert await watcher.wait() == 0, watcher.text()
                check_events(events(directory / "events.jsonl"), refs, sim)


async def a_quota_of_0(directory: Path) -> None:
    """A new account throttles every call: /readyz names the quota to raise, calls become rare, and polling begins once it is raised."""
    began = time.monotonic()
    async with simulator(QUIET) as sim:
        sim.change(quota=0, burst=0)
        async with running(directory, sim, 1) as (watcher, url):
            components = await until_ready(url, False, watcher)
            assert "0" in components["quota:speaker-search"]["reason"]
            assert "Speaker search" in components["quota:speaker-search"]["hint"], components
            line = await watcher.until_logged(UNHEALTHY)
            assert line["hint"] == components["quota:speaker-search"]["hint"]
            assert sim.stats.requests <= 3 + (time.monotonic() - began) / 3, "each call waits longer than the one before"
            sim.change(quota=100.0, burst=100.0)
            assert await watcher.wait() == 0, watcher.text()
            check_events(events(directory / "events.jsonl"), tasks(1), sim)


async def wrong_credentials(directory: Path) -> None:
    """Rejected signatures end no watch: /readyz has a hint, calls become rare, and polling goes on once they are accepted."""
    began = time.monotonic()
    async with simulator(QUIET) as sim:
        sim.change(credentials={"simulator": "another secret"})
        async with running(directory, sim, 2, AWS_SECRET_ACCESS_KEY="simulator") as (watcher, url):
            components = await until_ready(url, False, watcher)
            assert not components["circuit:credentials"]["ok"]
            assert "credentials" in components["circuit:credentials"]["hint"]
            assert sim.stats.outcomes["signature"] == sim.stats.requests
            assert sim.stats.requests <= 3 + (time.monotonic() - began) / 5, "calls through an open circuit are 5 s or more apart"
            sim.change(credentials={"simulator": "simulator"})
            assert await watcher.wait() == 0, watcher.text()
            check_events(events(directory / "events.jsonl"), tasks(2), sim)


@pytest.mark.slow
async def test_trouble_with_polling_ends_no_watch(tmp_path: Path) -> None:
    """A refused connection, a quota of 0 and wrong credentials make it not ready, with a hint, until they are over."""
    await together(tmp_path, an_endpoint_that_refuses_connections, a_quota_of_0, wrong_credentials)


@pytest.mark.slow
async def test_a_queue_that_does_not_exist_delays_only_its_own_source(moto_url: str, tmp_path: Path) -> None:
    """A queue may be missing at the start, be created and be deleted: not ready and ready again in turn, while a file is read."""
    refs, file, queue = tasks(3), tmp_path / "events.jsonl", Queue(moto_url)
    listen = f"127.0.0.1:{free_port()}"
    url = f"http://{listen}"
    sources = [{"type": "sqs", "queue_url": queue.url, "wait": 1, "receivers": 1}, {"type": "lines", "path": "tasks.txt"}]
    configure(tmp_path, sources=sources, api={"listen": listen})
    (tmp_path / "tasks.txt").write_text(plain_lines(refs[:1]))
    async with simulator(QUIET) as sim:
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), **sim.environment})
        with watcher.running(*RUN):
            for ref in refs[1:]:
                components = await until_ready(url, False, watcher)
                assert [name for name, condition in components.items() if not condition["ok"]] == ["source:sqs"]
                assert components["source:sqs"]["reason"].startswith("not_found")
                assert components["source:sqs"]["hint"]
                await queue.create()
                await until_ready(url, True, watcher)
                await queue.send([message(ref)])
                await until(lambda ref=ref: ref.key in ends(file), watcher)
                await queue.delete()
            await until(lambda: refs[0].key in ends(file), watcher)
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143
            check_events(events(file), refs, sim)
