"""Readers of the events of several replicas, over HTTP, while replicas are killed and replaced."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.fleet import Fleet, fleet
from tests.e2e.scene import check_events, tasks
from tests.postgres import Database
from tests.process import HANG_S, POLL_S
from watcher.simulator import Scenario
from watcher.simulator.distributions import parse_durations

pytestmark = [pytest.mark.process, pytest.mark.slow]


@dataclass
class Reader:
    """Follows the events at one replica after the other, with its cursor."""

    found: Fleet
    turn: int
    """The number of the replica to which it connects next."""
    moves_after: int
    """The number of events after which it connects to the next replica, as behind a load balancer."""
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    last_id: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            url = self.found.replicas[self.turn % len(self.found.replicas)].url
            self.turn += 1
            try:
                await self._follow(url)
            except httpx.TransportError:
                await anyio.sleep(POLL_S)  # this replica was killed, or does not listen yet

    async def _follow(self, url: str) -> None:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        seen = len(self.events)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client,
            client.stream("GET", f"{url}/v1/events", headers=headers) as reply,
        ):
            assert reply.status_code == 200, await reply.aread()
            self.connections += 1
            id_ = ""
            async for line in reply.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    id_ = value
                elif name == "data":
                    self.events.append(json.loads(value))
                elif not line and id_:
                    self.last_id = id_
                    if len(self.events) - seen >= self.moves_after:
                        return


async def test_readers_of_a_fleet_get_each_event_once(tmp_path: Path, database: Database, moto_url: str) -> None:
    """Readers that move between replicas with their cursors, while a replica is killed and replaced and the database restarts, each get
    every event of every task, in order for each task, and no id twice."""
    refs = tasks(600)
    lives = parse_durations("queue=exponential(1),run=5+exponential(3)")
    async with fleet(tmp_path, database, moto_url, Scenario(seed=12, quota=100, durations=lives)) as found:
        readers = [Reader(found, n, moves_after) for n, moves_after in enumerate([10**9, 150, 40])]
        found.start(*found.replicas)
        await found.until_shared(*found.replicas)
        async with anyio.create_task_group() as group:
            for reader in readers:
                group.start_soon(reader.run)
            await found.submit(refs[:300])
            await found.until(lambda: len(found.webhook.ended) > 60, "some tasks have ended")
            found.kill(found.replicas[0])
            await found.submit(refs[300:])
            await found.until(lambda: len(found.webhook.ended) > 250, "the others have taken over")
            found.start(found.replicas[0])
            await anyio.to_thread.run_sync(database.server.restart, "fast")
            await found.until_delivered(refs)
            every = {event["id"]: event for event in found.webhook.accepted}
            await found.until(lambda: all(len(reader.events) >= len(every) for reader in readers), "the readers have all events")
            late = Reader(found, 1, 10**9)
            group.start_soon(late.run)
            await found.until(lambda: len(late.events) >= len(every), "a late reader has all events")
            group.cancel_scope.cancel()
    for reader in [*readers, late]:
        check_events(reader.events, refs, found.sim)
        assert Counter(event["id"] for event in reader.events) == Counter(list(every))
    assert readers[2].connections > 20
