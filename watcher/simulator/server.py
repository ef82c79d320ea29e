"""The simulated service on a port, for any AWS SDK: requests in, signatures checked, answers out as the real API words them."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import anyio

from watcher.kinds.voice_tone import VOICE_TONE
from watcher.model import TaskRef
from watcher.simulator.faults import INVALID, Problem
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import Answer, Request, Service, Stats
from watcher.simulator.sigv4 import SignatureRefused, verify
from watcher.simulator.simulated_task import Truth
from watcher.simulator.task_table import PATHS, TaskTable
from watcher.simulator.wire import MAX_HEAD, BadRequest, HttpRequest, head, read_request, segments
from watcher.simulator.wire_faults import BODIES, TRICKS, Connection, Reply, other_body

REGION = "us-east-1"
REDIRECTED = "/redirected"
"""Where the fault `redirect` sends a client, under another name of this host. A request there was a mistake of the client's."""

Respond = tuple[int, bytes, Mapping[str, str]]
"""Status, body, headers."""


class Simulator:
    """A service that listens. `port` and `url` say where; everything else is the `Service`'s."""

    def __init__(self, service: Service, host: str) -> None:
        self.service = service
        self.host = host
        self.port = 0
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """The endpoint to give to an SDK."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def stats(self) -> Stats:
        """What was asked and answered."""
        return self.service.stats

    @property
    def world(self) -> TaskTable:
        """The tasks."""
        return self.service.world

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK here."""
        scenario = self.service.scenario
        access, secret = next(iter(scenario.credentials.items()))
        token = {"AWS_SESSION_TOKEN": scenario.session_tokens[access]} if access in scenario.session_tokens else {}
        return {
            "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": self.url,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            **token,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def truth(self, ref: TaskRef) -> Truth:
        """What really happens to a task, and when: see `TaskTable.truth`."""
        return self.world.truth(ref)

    def change(self, **updates: Any) -> None:
        """Change the scenario while it plays: see `Service.change`."""
        self.service.change(**updates)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one more connection, in a task of ours: asyncio's own would report being cancelled as a failure."""
        task = asyncio.create_task(self.serve_connection(reader, writer), name="simulator connection")
        self._connections[task] = writer
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        """Nothing to a connection that closed in peace; else what is unsent is dropped. Also of a task that never ran."""
        self._connections.pop(task).transport.abort()

    async def close_connections(self) -> None:
        """Break off whatever is being answered."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # aborted connections close on the next turn

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other, until the peer or a fault ends it."""
        connection = Connection(reader, writer)
        try:
            while await self._exchange(connection):
                pass
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            return  # the peer left: nobody waits for an answer

    async def _exchange(self, connection: Connection) -> bool:
        """One request and its reply. Returns whether the connection goes on."""
        try:
            request = await read_request(connection.reader)
            if request is None:
                return False
            return await self._reply(connection, request) and request.keep_alive
        except BadRequest as error:
            await connection.send(self._head(error.status, 0, {"Connection": "close"}))
            return False

    async def _reply(self, connection: Connection, request: HttpRequest) -> bool:
        scenario = self.service.scenario
        if request.path == REDIRECTED:
            return await self._refuse(connection, "redirected", INVALID)
        try:
            verify(request, scenario.credentials, scenario.session_tokens, self.service.clock())
        except SignatureRefused as refusal:
            return await self._refuse(connection, "signature", Problem(str(refusal), None, 403, refusal.code))
        asked = understood(request)
        if asked is None:
            return await self._refuse(connection, "unknown-operation", Problem("no such operation", None, 404, "UnknownOperationException"))
        async with self.service.ask(asked) as answer:
            return await self._send(connection, asked, answer)

    async def _refuse(self, connection: Connection, outcome: str, problem: Problem) -> bool:
        self.stats.outcomes[outcome] += 1
        status, body, headers = refused(problem)
        await connection.send(self._head(status, len(body), headers) + body)
        return True

    async def _send(self, connection: Connection, asked: Request, answer: Answer) -> bool:
        status, body, headers = rendered(asked, answer)
        if answer.fault == "redirect":
            status, headers = 307, {**headers, "Location": f"http://localhost:{self.port}{REDIRECTED}"}
        if answer.fault in BODIES:
            words = {"TASK": asked.kind.reply, "ID": asked.kind.id_member, "STATUS": asked.kind.status_member}
            body = other_body(answer.fault, json.loads(body or b"{}"), words, self.stats.outcomes[answer.outcome])
            status = 200
        trick = TRICKS.get(answer.fault or "")
        if trick is not None:
            await trick(connection, Reply(lambda length: self._head(status, length, headers), body))
            return False
        await connection.send(self._head(status, len(body), headers) + body)
        return True

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> bytes:
        return head(status, length, self.service.clock(), {"x-amzn-RequestId": str(uuid.uuid4()), **headers})


def understood(request: HttpRequest) -> Request | None:
    """The call of the API that this is; None: there is no such call. Raises BadRequest for a body that is no JSON object."""
    parts, query = segments(request.path), parse_qs(request.query, keep_blank_values=True)
    if len(parts) not in (3, 4) or parts[0] != "voice-connectors" or parts[2] not in PATHS:
        return None
    kind, connector = PATHS[parts[2]], parts[1]
    if len(parts) == 3:
        return Request("Start", kind, connector, body=_body(request.body)) if request.method == "POST" else None
    if request.method == "GET":
        # the API model demands isCaller of a voice tone Get; without it the request is as bad as one without an id
        complete = kind is not VOICE_TONE or query.get("isCaller", [""])[0] in ("true", "false")
        return Request("Get", kind, connector if complete else "", parts[3])
    return Request("Stop", kind, connector, parts[3]) if request.method == "POST" and query.get("operation") == ["stop"] else None


def _body(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest(400) from None
    if not isinstance(value, dict):
        raise BadRequest(400)
    return value


def rendered(asked: Request, answer: Answer) -> Respond:
    """An answer as the API words it."""
    if answer.problem is not None:
        return refused(answer.problem)
    if asked.action == "Stop" or answer.life is None:
        return 204, b"", {}
    body = json.dumps({asked.kind.reply: answer.life.task(answer.as_of)}).encode()
    return 201 if asked.action == "Start" else 200, body, {"Content-Type": "application/json"}


def refused(problem: Problem) -> Respond:
    """A problem as the API words it: the class in a header, a short code and a sentence in the body."""
    if not problem.code:
        return problem.status, b"<html><body><h1>Bad Gateway</h1></body></html>", {"Content-Type": "text/html"}
    body = {"Code": problem.code.removesuffix("Exception").removesuffix("Client"), "Message": problem.meaning}
    return problem.status, json.dumps(body).encode(), {"Content-Type": "application/json", "x-amzn-ErrorType": problem.code}


@asynccontextmanager
async def serve(service: Service, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Simulator]:
    """`service` on a port (0: any free one) until the block ends. Raises OSError when the port is taken."""
    sim = Simulator(service, host)
    server = await asyncio.start_server(sim.connected, host, port, limit=MAX_HEAD, backlog=1024)
    sim.port = server.sockets[0].getsockname()[1]
    try:
        yield sim
    finally:
        with anyio.CancelScope(shield=True):  # cancelled or not, nothing of it is left listening
            await _settle(server)
            server.close()
            await sim.close_connections()
            await server.wait_closed()


async def _settle(server: asyncio.Server) -> None:
    """Accept nothing more, and let what was accepted come in: Python 3.11 leaks a connection that a close overtakes."""
    for listener in server.sockets:
        asyncio.get_running_loop().remove_reader(listener.fileno())
    for _ in range(3):
        await asyncio.sleep(0)


@asynccontextmanager
async def simulator(
    scenario: Scenario | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Simulator]:
    """A scenario on a port: the shortest way to a voice service in a test."""
    async with serve(Service(scenario or Scenario(), clock), host, port) as sim:
        yield sim
