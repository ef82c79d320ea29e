"""A `credential_process` that hangs, around a running watcher: it is named, and no process is left."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anyio
import pytest

from tests.e2e.scene import QUIET, RUN, configure, ends, free_port, plain_lines, service, tasks, until, until_ready
from tests.process import runs
from watcher.simulator import simulator

pytestmark = pytest.mark.process


def started(log: Path) -> list[int]:
    """The processes that the helper has started so far, itself included."""
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def alive(log: Path) -> list[int]:
    """Those of them that still run."""
    return [pid for pid in started(log) if runs(pid)]


@pytest.mark.parametrize("signals", [0, 1, 2])
@pytest.mark.slow
async def test_a_helper_that_hangs_is_named_and_gone_after_a_stop(tmp_path: Path, signals: int) -> None:
    """Not ready, with the cause, and one helper at a time. When it works again, the tasks are reported; a stop leaves no helper."""
    log, script, listen = tmp_path / "helper.log", tmp_path / "helper", f"127.0.0.1:{free_port()}"
    async with simulator(QUIET) as sim:
        keys = sim.environment
        found = {"Version": 1, "AccessKeyId": keys["AWS_ACCESS_KEY_ID"], "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"]}
        works = f"echo '{json.dumps(found)}'"
        hangs = f"echo $$ >> {log}\nsleep 10000 &\necho $! >> {log}\nwait"
        script.write_text(f"#!/bin/sh\n[ -e {tmp_path}/works ] && {{ {works}; exit; }}\n{hangs}\n")
        script.chmod(0o700)
        (tmp_path / "aws").write_text(f"[default]\ncredential_process = {script}\n")
        configure(tmp_path, api={"listen": listen}, limits={"call_deadline": "2s"})
        refs = tasks(3)
        (tmp_path / "tasks.txt").write_text(plain_lines(refs))
        watcher = service(tmp_path, sim, AWS_CONFIG_FILE=str(tmp_path / "aws"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del watcher.environment[name]
        with watcher.running(*RUN):
            components = await until_ready(f"http://{listen}", False, watcher)
            assert "credential_process" in components["circuit:credentials"]["hint"]
            known = len(started(log))
            await until(lambda: len(started(log)) > known and alive(log), watcher)
            assert len(alive(log)) <= 2, "one helper and its child"
            if not signals:
                (tmp_path / "works").touch()
            for _ in range(signals):
                watcher.send(signal.SIGTERM)
            assert await watcher.wait() == (143 if signals else 0)
            assert ends(tmp_path / "events.jsonl") == (set() if signals else {ref.key for ref in refs})
            while alive(log):  # noqa: ASYNC110 - a killed process may still be in the table for a moment
                await anyio.sleep(0.05)
