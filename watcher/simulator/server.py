"""The simulated services on a port, for any AWS SDK: it reads HTTP requests, checks their signatures and sends the replies.

The voice service is one of them. The others, if there are any, belong to the kinds that `declared` has.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import anyio

from watcher.model import TaskRef
from watcher.simulator.control import answer as control
from watcher.simulator.control import is_control, names_voice_kind
from watcher.simulator.declared import DeclaredApi, DeclaredService, Kinds
from watcher.simulator.dispatch import REDIRECTED, Refused, dispatch, format_refusal
from watcher.simulator.http_api import format_reply
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import ApiRequest, Stats, VoiceService
from watcher.simulator.simulated_kinds import SIMULATED_KINDS
from watcher.simulator.simulated_task import Truth, iso
from watcher.simulator.task_table import TaskTable
from watcher.simulator.wire import BadRequest, HttpConnection, HttpReply, HttpRequest
from watcher.simulator.wire_faults import CONNECTION_FAULTS

REGION = "us-east-1"
OnRequest = Callable[[dict[str, Any]], None]
"""Takes one request: `at`, `method`, `path`, `query`, the `status` and the `outcome` of the reply, the `task_status` in it,
and the `duration_s` until it was known."""


class Simulator:
    """Services that listen on `port` at `url`. Everything else belongs to the `VoiceService`, and to `declared` for other kinds."""

    def __init__(self, service: VoiceService, host: str, on_request: OnRequest | None = None, declared: DeclaredApi | None = None) -> None:
        self.service = service
        self.declared = declared
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
        """The simulated tasks of the voice service."""
        return self.service.tasks

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point an AWS SDK at this service: for all services if it serves more than one."""
        scenario = self.service.scenario
        access, secret = next(iter(scenario.credentials.items()))
        token = {"AWS_SESSION_TOKEN": scenario.session_tokens[access]} if access in scenario.session_tokens else {}
        return {
            **({} if self.declared is None else {"AWS_ENDPOINT_URL": self.url}),
            "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": self.url,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            **token,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def truth(self, ref: TaskRef) -> Truth:
        """Return every status of a task with its time: see `TaskTable.truth`."""
        if self.declared is None or ref.kind in SIMULATED_KINDS:
            return self.tasks.truth(ref)
        return self.declared.service.tasks.truth(ref)

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
            response = self._control(request, began)
            self._log(request, began, "control", response)
            await self._send(connection, response)
            return
        parsed = await dispatch(request, self.service, self.declared)
        if isinstance(parsed, Refused):
            self.stats.outcomes[parsed.outcome] += 1
            response = format_refusal(parsed, self.declared)
            self._log(request, began, parsed.outcome, response)
            await self._send(connection, response)
        elif isinstance(parsed, HttpReply):
            self.stats.outcomes["sts"] += 1
            self._log(request, began, "sts", parsed)
            await self._send(connection, parsed)
        elif isinstance(parsed, ApiRequest):
            async with self.service.handle(parsed) as reply:
                response = self._redirected(format_reply(parsed, reply, self.stats.outcomes[reply.outcome]), reply.fault)
                statuses = [] if reply.task is None else [reply.task.period(reply.as_of).status]
                self._log(request, began, reply.outcome, response, statuses)
                await self._send_reply(connection, reply.fault, response)
        elif self.declared is not None:
            async with self.declared.handle(parsed) as answer:
                response = self._redirected(answer.response, answer.fault)
                self._log(request, began, answer.outcome, response, answer.statuses)
                await self._send_reply(connection, answer.fault, response)

    def _control(self, request: HttpRequest, now: float) -> HttpReply:
        found = None if self.declared is None or names_voice_kind(request) else self.declared.control(request, now)
        return control(request, self.tasks, now) if found is None else found

    def _redirected(self, response: HttpReply, fault: str | None) -> HttpReply:
        if fault != "redirect":
            return response
        location = {"Location": f"http://localhost:{self.port}{REDIRECTED}"}
        return replace(response, status=307, headers={**response.headers, **location})

    def _log(self, request: HttpRequest, began: float, outcome: str, response: HttpReply, statuses: Sequence[str] = ()) -> None:
        if self.on_request is None:
            return
        now = self.service.clock()
        record = {"at": iso(began), "method": request.method, "path": request.path, "query": request.query}
        task_status = ",".join(statuses) or None
        self.on_request(
            {**record, "status": response.status, "outcome": outcome, "task_status": task_status, "duration_s": round(now - began, 3)}
        )

    async def _send_reply(self, connection: HttpConnection, fault: str | None, response: HttpReply) -> None:
        send_broken = CONNECTION_FAULTS.get(fault or "")
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
    service: VoiceService,
    host: str = "127.0.0.1",
    port: int = 0,
    on_request: OnRequest | None = None,
    declared: DeclaredApi | None = None,
) -> AsyncIterator[Simulator]:
    """Serve on a port (0: any free port) until the block ends. Raises OSError when the port is in use."""
    sim = Simulator(service, host, on_request, declared)
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
    kinds: Kinds | None = None,
) -> AsyncIterator[Simulator]:
    """Serve a scenario on a port until the block ends: the shortest way to a service in a test.

    `kinds` returns kinds to serve besides those of the voice service, such as `builtin_catalog`; it is called when they are needed.
    """
    voice = VoiceService(scenario or Scenario(), clock)
    declared = None if kinds is None else DeclaredApi(DeclaredService(kinds, voice))
    async with serve(voice, host, port, declared=declared) as sim:
        yield sim
