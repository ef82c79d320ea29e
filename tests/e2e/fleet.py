"""Several replicas of the watcher on one PostgreSQL store, one queue, one simulated service, and one webhook, as processes of their own.

Each replica calls the service at a port of its own, and the webhook under a path of its own, so the test knows which one did what. All
ports serve the same tasks, under one quota and one count of calls in flight. All times are wall-clock seconds of this machine, as are
those of the database and of the logs.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import psycopg
from anyio.to_thread import run_sync

from tests.e2e.queues import Queue
from tests.e2e.scene import ENDLESS, RUN, check_events, configure, end_tasks, free_port, message, ready, tasks
from tests.moto_server import environment
from tests.postgres import Database
from tests.process import HANG_S, POLL_S, WatcherProcess
from watcher.model import TaskRef, shard_of
from watcher.simulator import Scenario, Simulator, VoiceService, serve
from watcher.simulator.wire import HttpConnection, HttpReply

ADOPTED, LOST, EXPIRED = "shards_adopted", "shard_lost", "replica_expired"
"""Log events."""
LEASE_S, RENEW_S = 5.0, 1.0
"""Shorter than the defaults, so that the tests take less time."""
SHARDS = 16


@dataclass(frozen=True, slots=True)
class Poll:
    """One Get of a task: when it arrived at the service, and what the service answered."""

    at: float
    key: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at the webhook: when it arrived, from which replica, and with which status the webhook answered."""

    at: float
    replica: int
    status: int
    body: bytes


class Webhook:
    """Keeps all events in the order of arrival. Answers 204, or what `status` says about an event."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.status: Callable[[Mapping[str, Any]], int] = lambda event: 204
        self.ended: set[str] = set()
        """The keys of the tasks whose last event was accepted."""
        self.url = ""
        """To be followed by the number of the replica."""
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Webhook]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=256)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """All accepted events, with their repeats, in the order of arrival."""
        return [json.loads(delivery.body) for delivery in self.deliveries if delivery.status == 204]

    def repeats(self) -> int:
        """How many accepted events had been accepted before. Fails when two events with one id differ in a byte."""
        bodies: dict[str, bytes] = {}
        accepted = [delivery.body for delivery in self.deliveries if delivery.status == 204]
        for body in accepted:
            id_ = json.loads(body)["id"]
            assert bodies.setdefault(id_, body) == body, f"two events have the id {id_}"
        return len(accepted) - len(bodies)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HttpConnection(reader, writer)
        try:
            while (request := await connection.read()) is not None:
                event = json.loads(request.body)
                status = self.status(event)
                self.deliveries.append(Delivery(time.time(), int(request.path[1:]), status, request.body))
                if status == 204 and event["data"]["terminal"]:
                    self.ended.add(event["subject"])
                await connection.send(HttpReply(status, headers={"Retry-After": "1"}))
        except ConnectionError:
            return  # the replica was killed


class Replica(WatcherProcess):
    """One replica: a directory, a port of the service, an HTTP port. Its process may be started again, and is another replica then."""

    def __init__(self, number: int, directory: Path, environment: Mapping[str, str], polls: list[Poll], listen: str) -> None:
        super().__init__(directory, environment)
        self.number = number
        self.polls = polls
        """Its calls, in the order in which the service answered them."""
        self.url = f"http://{listen}"
        """Of its HTTP API."""

    @property
    def name(self) -> str:
        """The name under which it registered last."""
        return str(self.lines(ADOPTED)[-1]["replica"])

    @property
    def polled(self) -> set[str]:
        """The keys of the tasks that it has polled."""
        return {poll.key for poll in self.polls}

    def polled_since(self, at: float) -> set[str]:
        """The keys of the tasks that it has polled since then."""
        return {poll.key for poll in self.polls if poll.at > at}


@dataclass
class Fleet:
    """Replicas and what they share."""

    database: Database
    sim: Simulator
    """The service at the port of the first replica. Its tasks and statistics are those of all ports."""
    webhook: Webhook
    queue: Queue
    _operator: Path
    """The directory of the operator."""
    terms: Mapping[str, float]
    """How long leases last, and how often they are renewed, in seconds."""
    replicas: list[Replica] = field(default_factory=list)
    _commands: int = 0
    _running: dict[Replica, ExitStack] = field(default_factory=dict)

    # --- processes -------------------------------------------------------------------------------

    def start(self, *replicas: Replica) -> None:
        """Start the processes of these replicas."""
        for replica in replicas:
            self._running[replica] = stack = ExitStack()
            stack.enter_context(replica.running(*RUN))

    def kill(self, replica: Replica) -> float:
        """End its process with SIGKILL. Returns the time."""
        self._running.pop(replica).close()
        return time.time()

    async def ended(self, replica: Replica) -> int:
        """Wait until its process has ended. Returns the exit code."""
        stack = self._running.pop(replica)
        code = await replica.wait()
        stack.close()
        return code

    async def polling(self, refs: Sequence[TaskRef]) -> None:
        """Start all replicas, and let them poll these tasks."""
        self.start(*self.replicas)
        await self.until_shared(*self.replicas)
        await self.submit(refs)
        await self.until_polled(refs)

    async def finish(self, refs: Sequence[TaskRef]) -> None:
        """End these tasks, which were polled, and check when all events have arrived."""
        end_tasks(self.sim, refs)
        await self.until_delivered(refs)
        self.check(refs)

    def check(self, refs: Sequence[TaskRef]) -> None:
        """Check that every event has arrived, each task's events in order, and that no two Gets of one task were in flight at once."""
        check_events(self.webhook.accepted, refs, self.sim)
        assert self.sim.stats.peak_per_task == 1

    def close(self) -> None:
        """Kill all processes."""
        for replica in list(self._running):
            self.kill(replica)

    # --- waits -----------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until the condition is true. Fails with the logs when a replica has ended that should run, and after `HANG_S`."""

        async def holds() -> Any:
            return condition()

        await self.until_async(holds, what)

    async def until_async(self, condition: Callable[[], Awaitable[Any]], what: str) -> None:
        """Like `until`, for a condition that has to be awaited."""
        with anyio.move_on_after(HANG_S):
            while not any(replica.ended for replica in self._running):
                if await condition():
                    return
                await anyio.sleep(POLL_S)
        logs = "\n".join(f"{replica.directory.name}: {replica.text()[-4000:]}" for replica in self.replicas)
        raise AssertionError(f"not reached: {what}\n{logs}")

    async def until_shared(self, *replicas: Replica) -> None:
        """Wait until these replicas, and no others, own a fair part of the shards each, and have loaded their tasks."""

        async def shared() -> bool:
            try:
                found = await self.execute("SELECT name, report::json->>'adopted' FROM replicas WHERE expires_at > clock_timestamp()")
                parts = Counter(dict(await self.execute("SELECT shard, owner FROM shards")).values())
            except psycopg.Error:
                return False  # there are no tables yet, or the server restarts
            if not all(replica.lines(ADOPTED) for replica in replicas):
                return False  # one that starts late would take shards from the others afterward
            names = [replica.name for replica in replicas]
            fair = set(parts) == set(names) and max(parts.values()) - min(parts.values()) <= 1
            return fair and {name: int(adopted or 0) for name, adopted in found} == parts

        await self.until_async(shared, f"{len(replicas)} replicas share the shards")

    async def until_polled(self, refs: Collection[TaskRef], *replicas: Replica, since: float = 0.0) -> None:
        """Wait until each task was polled by one of these replicas since then. Without any, by one of all."""
        wanted = {ref.key for ref in refs}

        def polled() -> bool:
            return wanted <= set().union(*(replica.polled_since(since) for replica in replicas or self.replicas))

        await self.until(polled, f"{len(wanted)} tasks are polled")

    async def until_ready(self, replica: Replica, *bad: str) -> None:
        """Wait until /readyz names just these components as not working. Those of the service do not count: they depend on its quota."""

        async def as_wanted() -> bool:
            try:
                _, components = await ready(replica.url)
            except httpx.TransportError:
                return False  # not listening yet
            return {name for name, each in components.items() if not each["ok"] and name in ("store", "leases")} == set(bad)

        await self.until_async(as_wanted, f"{replica.directory.name} is ready but for {bad}")

    async def until_delivered(self, refs: Collection[TaskRef]) -> None:
        """Wait until the last event of each task was delivered."""
        await self.until(lambda: len(self.webhook.ended) >= len(refs), "all tasks have ended")

    # --- what others see ---------------------------------------------------------------------------

    async def submit(self, refs: Iterable[TaskRef]) -> None:
        """Send a message for each task to the queue."""
        await self.queue.send(map(message, refs))

    async def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement beside the replicas."""
        return await run_sync(lambda: self.database.execute(statement, *values))

    async def tasks_of(self, replica: Replica, refs: Iterable[TaskRef]) -> list[TaskRef]:
        """Those of the tasks that belong to shards of this replica."""
        owners = dict(await self.execute("SELECT shard, owner FROM shards"))
        return [ref for ref in refs if owners[shard_of(ref.key, SHARDS)] == replica.name]

    async def leases_end(self, replica: Replica) -> float:
        """When the leases of a replica end if it does not renew them any more."""
        statement = "SELECT extract(epoch FROM expires_at)::float8 FROM replicas WHERE name = %s"
        ((end,),) = await self.execute(statement, replica.name)
        return float(end)

    async def command(self, *arguments: str) -> str:
        """What a command of the watcher prints that an operator runs on another machine. It must exit with 0."""
        self._commands += 1
        operator = WatcherProcess(self._operator, self.replicas[0].environment, f"command-{self._commands}")
        assert await operator.run(*arguments, "--config", "watcher.yaml") == 0, operator.text()
        return operator.out.read_text()

    def activity(self, replica: Replica, begin: float, end: float) -> list[Poll | Delivery]:
        """The polls and deliveries of a replica between two times."""
        deliveries = [each for each in self.webhook.deliveries if each.replica == replica.number]
        return [each for each in (*replica.polls, *deliveries) if begin < each.at < end]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of all logs with this event name."""
        return [line for replica in self.replicas for line in replica.lines(event)]


def endless(**settings: Any) -> Scenario:
    """Tasks that run until the test ends them."""
    return Scenario(**{"seed": 1, "partial": 0, "quota": 100, "durations": ENDLESS, **settings})


def takeover_s(orphans: Collection[TaskRef], others: Iterable[Replica], since: float) -> float:
    """Seconds from then to the first poll of one of these tasks by one of these replicas; infinite before it."""
    keys = {ref.key for ref in orphans}
    return min((poll.at for replica in others for poll in replica.polls if poll.at > since and poll.key in keys), default=math.inf) - since


def one_in_each_shard(each: int = 1) -> list[TaskRef]:
    """So many tasks of each shard: every replica that owns shards has some."""
    found: dict[int, list[TaskRef]] = defaultdict(list)
    for ref in tasks(SHARDS * each * 20):
        found[shard_of(ref.key, SHARDS)].append(ref)
    return [ref for shard in range(SHARDS) for ref in found[shard][:each]]


def logged_at(line: Mapping[str, Any]) -> float:
    """When a line was logged."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@dataclass(frozen=True, slots=True)
class Own:
    """What is different for one replica: its connection string, the name of its queue, and further environment variables."""

    dsn: str | None = None
    queue: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def fleet(
    directory: Path,
    database: Database,
    moto_url: str,
    scenario: Scenario,
    *,
    count: int = 3,
    own: Mapping[int, Own] | None = None,
    terms: Mapping[str, float] | None = None,
    **sections: Any,
) -> AsyncIterator[Fleet]:
    """So many replicas, not started. `own` is by the number of the replica. `sections` are as in `configure`."""
    service, webhook, queue = VoiceService(scenario, time.time), Webhook(), Queue(moto_url)
    await queue.create()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(webhook.serving())
        polls: Sequence[list[Poll]] = [[] for _ in range(count)]
        sims = [await stack.enter_async_context(serve(service, on_request=_recorder(each))) for each in polls]
        found = Fleet(database, sims[0], webhook, queue, directory / "operator", terms or {"lease": LEASE_S, "renew": RENEW_S})
        stack.callback(found.close)
        for number, sim in enumerate(sims):
            special = (own or {}).get(number, Own())
            variables = {**environment(moto_url), **_service(sim), **special.variables}
            listen = f"127.0.0.1:{free_port()}"
            _configure(directory / f"replica-{number}", found, special, number, {"api": {"listen": listen}, **sections})
            found.replicas.append(Replica(number, directory / f"replica-{number}", variables, polls[number], listen))
        _configure(directory / "operator", found, Own(), 0, sections)
        yield found


def _service(sim: Simulator) -> dict[str, str]:
    """The environment variables for the service; those for the queues are other ones."""
    return {name: sim.environment[name] for name in ("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def _configure(directory: Path, shared: Fleet, own: Own, number: int, sections: Mapping[str, Any]) -> None:
    directory.mkdir()
    database, queue = shared.database, shared.queue
    place = {"dsn": own.dsn or database.server.dsn, "schema_name": database.schema}
    settings: dict[str, Any] = {
        "sources": [{"type": "sqs", "queue_url": queue.url.replace(queue.name, own.queue or queue.name), "wait": 1, "visibility": 20}],
        "store": {"type": "postgres", **place, "shards": SHARDS, **shared.terms},
        "sinks": [{"type": "webhook", "url": f"{shared.webhook.url}{number}"}],
    }
    configure(directory, **{**settings, **sections})


def _recorder(polls: list[Poll]) -> Callable[[dict[str, Any]], None]:
    """What keeps the calls at one port."""

    def record(request: dict[str, Any]) -> None:
        _, _, connector, _, task = request["path"].split("/")
        key = TaskRef("speaker-search", (connector, task)).key
        polls.append(Poll(time.time() - request["duration_s"], key, request["outcome"]))

    return record
