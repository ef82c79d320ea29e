"""The simulated service on a port, for any AWS SDK: it reads HTTP requests, checks their signatures and sends the service's replies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any

import anyio

from watcher.model import TaskRef
from watcher.simulator.control import answer as control
from watcher.simulator.control import is_control
from watcher.simulator.faults import INVALID, ServiceError
from watcher.simulator.http_api import format_error, format_reply, parse_request
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import ApiReply, ApiRequest, Stats, VoiceService
from watcher.simulator.sigv4 import SignatureRejected, verify
from watcher.simulator.simulated_task import Truth, iso
from watcher.simulator.task_table import TaskTable
from watcher.simulator.wire import BadRequest, HttpConnection, HttpReply, HttpRequest
from watcher.simulator.wire_faults import CONNECTION_FAULTS

REGION = "us-east-1"
REDIRECTED = "/redirected"
"""Where the fault `redirect` sends a client, under another name of this host. A client must not follow; a request here is counted."""

OnRequest = Callable[[dict[str, Any]], None]
"""Takes one request: `at`, `method`, `path`, `query`, the `status` and the `outcome` of the reply, the `task_status` in it,
and the `duration_s` until it was known."""

UNKNOWN_OPERATION = ServiceError("this operation does not exist", None, 404, "UnknownOperationException")


@dataclass(frozen=True, slots=True)
class _Refused:
    """A request that does not reach the service, and the name under which `Stats.outcomes` counts it."""

    outcome: str
    error: ServiceError


class Simulator:
    """A service that listens on `port` at `url`. Everything else belongs to the `VoiceService`."""

    def __init__(self, service: VoiceService, host: str, on_request: OnRequest | None = None) -> None:
        self.service = service
        self.host = host
        self.on_request = on_request
        """Called for each request, with what was requested and what the reply is, when the reply is known."""
        self.port = 0
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """The endpoint URL for an SDK."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def stats(self) -> Stats:
        """Counts of requests and replies."""
        return self.service.stats

    @property
    def tasks(self) -> TaskTable:
        """The simulated tasks."""
        return self.service.tasks

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point an AWS SDK at this service."""
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
        """Return every status of a task with its time: see `TaskTable.truth`."""
        return self.tasks.truth(ref)

    def change(self, **updates: Any) -> None:
        """Change the scenario while it runs: see `VoiceService.change`."""
        self.service.change(**updates)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one more connection in a task of our own: asyncio's own task reports a cancellation as a failure."""
        task = asyncio.create_task(self.serve_connection(reader, writer), name="simulator connection")
        self._connections[task] = writer
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[None]) -> None:
        """Discard unsent data of a connection whose task is done, also of one that never ran. No effect on a closed connection."""
        self._connections.pop(task).transport.abort()

    async def close_connections(self) -> None:
        """Abort all connections, also those with a reply in progress."""
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted connection closes in the next iteration of the event loop

    async def serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to the requests of one connection, one after the other, until the client or a fault ends it."""
        connection = HttpConnection(reader, writer)
        try:
            await self._serve_requests(connection)
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            return  # the client closed the connection and does not read a reply

    async def _serve_requests(self, connection: HttpConnection) -> None:
        try:
            while (request := await connection.read()) is not None:
                await self._reply(connection, request)
        except BadRequest as error:
            await self._send(connection, HttpReply(error.status, headers={"Connection": "close"}))

    async def _reply(self, connection: HttpConnection, request: HttpRequest) -> None:
        began = self.service.clock()
        if is_control(request):
            response = control(request, self.tasks, began)
            self._log(request, began, "control", response)
            await self._send(connection, response)
            return
        parsed = self._parse(request)
        if isinstance(parsed, _Refused):
            self.stats.outcomes[parsed.outcome] += 1
            response = format_error(parsed.error)
            self._log(request, began, parsed.outcome, response)
            await self._send(connection, response)
            return
        async with self.service.handle(parsed) as reply:
            response = self._format(parsed, reply)
            self._log(request, began, reply.outcome, response, reply)
            await self._send_reply(connection, reply, response)

    def _parse(self, request: HttpRequest) -> ApiRequest | _Refused:
        scenario = self.service.scenario
        if request.path == REDIRECTED:
            return _Refused("redirected", INVALID)
        try:
            verify(request, scenario.credentials, scenario.session_tokens, self.service.clock())
        except SignatureRejected as error:
            return _Refused("signature", ServiceError(str(error), None, 403, error.code))
        return parse_request(request) or _Refused("unknown-operation", UNKNOWN_OPERATION)

    def _format(self, request: ApiRequest, reply: ApiReply) -> HttpReply:
        response = format_reply(request, reply, self.stats.outcomes[reply.outcome])
        if reply.fault == "redirect":
            location = {"Location": f"http://localhost:{self.port}{REDIRECTED}"}
            response = replace(response, status=307, headers={**response.headers, **location})
        return response

    def _log(self, request: HttpRequest, began: float, outcome: str, response: HttpReply, reply: ApiReply | None = None) -> None:
        if self.on_request is None:
            return
        now = self.service.clock()
        record = {"at": iso(began), "method": request.method, "path": request.path, "query": request.query}
        task_status = reply.task.period(reply.as_of).status if reply is not None and reply.task is not None else None
        self.on_request(
            {**record, "status": response.status, "outcome": outcome, "task_status": task_status, "duration_s": round(now - began, 3)}
        )

    async def _send_reply(self, connection: HttpConnection, reply: ApiReply, response: HttpReply) -> None:
        send_broken = CONNECTION_FAULTS.get(reply.fault or "")
        if send_broken is not None:
            await send_broken(connection, self._dated(response))
        else:
            await self._send(connection, response)

    async def _send(self, connection: HttpConnection, reply: HttpReply) -> None:
        await connection.send(self._dated(reply))

    def _dated(self, reply: HttpReply) -> HttpReply:
        """Add the headers that every reply has."""
        common = {"Date": formatdate(self.service.clock(), usegmt=True), "x-amzn-RequestId": str(uuid.uuid4())}
        return replace(reply, headers={**common, **reply.headers})


@asynccontextmanager
async def serve(
    service: VoiceService, host: str = "127.0.0.1", port: int = 0, on_request: OnRequest | None = None
) -> AsyncIterator[Simulator]:
    """Serve `service` on a port (0: any free port) until the block ends. Raises OSError when the port is in use."""
    sim = Simulator(service, host, on_request)
    server = await asyncio.start_server(sim.accept, host, port, backlog=1024)
    sim.port = server.sockets[0].getsockname()[1]
    try:
        yield sim
    finally:
        with anyio.CancelScope(shield=True):  # close the port also when the block is cancelled
            await _settle(server)
            server.close()
            await sim.close_connections()
            await server.wait_closed()


async def _settle(server: asyncio.Server) -> None:
    """Stop accepting, then let accepted connections reach `Simulator.accept`: Python 3.11 leaks one that is still on its way at close."""
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
    """Serve a scenario on a port until the block ends: the shortest way to a voice service in a test."""
    async with serve(VoiceService(scenario or Scenario(), clock), host, port) as sim:
        yield sim
