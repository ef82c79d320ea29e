"""A real Prometheus scrapes a real watcher, evaluates the alerts that ship, and sees trouble come and go."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.scene import QUIET, RUN, configure, free_port, get, plain_lines, service, tasks, until_async, webhook_receiver
from tests.pages import ROOT
from tests.process import HANG_S, WatcherProcess, process
from tests.prometheus import program
from watcher.simulator import simulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

SINK, LETTER = ("WatcherSinkUnhealthy", "sink:crm"), ("WatcherDeadLetters", "field")


def scraping(directory: Path, watcher_port: int) -> list[str]:
    """Write the configuration of a Prometheus that scrapes all the time, with alerts that do not wait. Returns its command."""
    alerts = (ROOT / "config" / "deploy" / "alerts.yaml").read_text()
    (directory / "alerts.yaml").write_text(re.sub(r"^( +for:) \S+$", r"\1 0s", alerts, flags=re.MULTILINE))
    settings = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "watcher", "static_configs": [{"targets": [f"127.0.0.1:{watcher_port}"]}]}],
    }
    (directory / "prometheus.yaml").write_text(json.dumps(settings))
    return [program("prometheus"), "--config.file=prometheus.yaml", "--storage.tsdb.path=tsdb", "--log.level=warn"]


async def firing(prometheus: str) -> set[tuple[str, str]]:
    """The alerts that fire: the name of each, and the component or the reason that it names."""
    try:
        found: list[dict[str, Any]] = (await get(f"{prometheus}/api/v1/alerts")).json()["data"]["alerts"]
    except (httpx.TransportError, ValueError):
        return set()  # not listening yet, or not ready
    labels = [alert["labels"] for alert in found if alert["state"] == "firing"]
    return {(each["alertname"], each.get("component", each.get("reason", ""))) for each in labels}


async def until_alerts(prometheus: str, watcher: WatcherProcess, wanted: Callable[[set[tuple[str, str]]], bool]) -> None:
    """Wait until the alerts that fire are as wanted."""

    async def holds() -> bool:
        return wanted(await firing(prometheus))

    await until_async(holds, watcher)


async def value(prometheus: str, query: str) -> list[float]:
    """The values that a query has now."""
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
        reply = await client.get(f"{prometheus}/api/v1/query", params={"query": query})
    return [float(each["value"][1]) for each in reply.json()["data"]["result"]]


async def test_prometheus_sees_trouble_come_and_go(tmp_path: Path) -> None:
    """A webhook that refuses connections and an invalid input raise their alerts and no other ones; a working hook ends the first."""
    api, own = free_port(), free_port()
    url = f"http://127.0.0.1:{own}"
    os.mkfifo(tmp_path / "tasks.txt")
    with socket.socket() as hook, (tmp_path / "tasks.txt").open("r+b", buffering=0) as pipe:
        hook.bind(("127.0.0.1", free_port()))
        pipe.write(plain_lines(tasks(2)).encode() + b'{"no": "task"}\n')
        sinks = [
            {"type": "jsonl", "path": "events.jsonl"},
            {"type": "webhook", "name": "crm", "url": f"http://127.0.0.1:{hook.getsockname()[1]}/"},
        ]
        configure(tmp_path, sinks=sinks, api={"listen": f"127.0.0.1:{api}"})
        command = [*scraping(tmp_path, api), f"--web.listen-address=127.0.0.1:{own}"]
        async with simulator(QUIET) as sim:
            watcher = service(tmp_path, sim)
            with (tmp_path / "prometheus.log").open("wb") as log, watcher.running(*RUN), process(command, cwd=tmp_path, stderr=log):
                await until_alerts(url, watcher, lambda found: {SINK, LETTER} <= found)
                assert await value(url, 'watcher_component_healthy{component="sink:crm"}') == [0.0]
                assert await value(url, 'count(watcher_component_healthy{component!="sink:crm"} == 0)') == []
                assert await value(url, "count(watcher_component_healthy == 1) > 5") != []
                async with webhook_receiver(204, hook):
                    await until_alerts(url, watcher, lambda found: found == {LETTER})
