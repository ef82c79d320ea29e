"""The HTTP API as a client sees it: a real server on loopback, in the loop of the test."""

import signal
import socket
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.process import HANG_S
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.errors import Unavailable
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition


class Health:
    """A watcher whose health the test decides."""

    def __init__(self):
        self.turns, self.components = True, {"store": Condition(True, "ok", 1763805600.0)}

    def alive(self):
        return self.turns, {"tick_age_s": 0.2 if self.turns else 99.0}

    def ready(self):
        return all(c.ok for c in self.components.values()), self.components


@asynccontextmanager
async def serving(health, metrics=None, listen="127.0.0.1:0"):
    server = HttpServer(ApiSettings(listen=listen), health, metrics or Metrics())
    await server.open()
    async with anyio.create_task_group() as tasks, httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        tasks.start_soon(server.serve)
        try:
            yield client
        finally:
            tasks.cancel_scope.cancel()
    await server.close()


async def test_health_follows_the_loop_and_nothing_else():
    """/healthz is 200 while the loop turns, whatever is not ready, and 503 when it does not."""
    health = Health()
    health.components["credentials"] = Condition(False, "credentials", 1763805600.0, "check the credentials")
    async with serving(health) as client:
        reply = await client.get("/healthz")
        assert (reply.status_code, reply.json()) == (200, {"ok": True, "tick_age_s": 0.2})
        health.turns = False
        reply = await client.get("/healthz")
        assert (reply.status_code, reply.json()) == (503, {"ok": False, "tick_age_s": 99.0})


async def test_readiness_says_which_and_why():
    """/readyz is 503 with the name, reason, time and hint of what fails, and 200 once nothing does."""
    health = Health()
    health.components["sink:bus"] = Condition(False, "denied", 1763805612.0, "allow events:PutEvents")
    async with serving(health) as client:
        reply = await client.get("/readyz")
        assert reply.status_code == 503
        assert reply.json()["failing"] == ["sink:bus"]
        assert reply.json()["components"]["sink:bus"] == {
            "ok": False,
            "reason": "denied",
            "since": "2025-11-22T10:00:12Z",
            "hint": "allow events:PutEvents",
        }
        health.components["sink:bus"] = Condition(True, "ok", 1763805700.0)
        reply = await client.get("/readyz")
        assert (reply.status_code, reply.json()["failing"]) == (200, [])
        assert reply.headers["cache-control"] == "no-store"


async def test_metrics_are_those_of_this_watcher():
    """/metrics gives the text format, as a scrape expects it."""
    metrics = Metrics()
    metrics.inputs.labels("queue", "admitted").inc(3)
    async with serving(Health(), metrics) as client:
        reply = await client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'watcher_inputs_total{outcome="admitted",source="queue"} 3.0' in reply.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("GET", "/docs", 404), ("GET", "/redoc", 404), ("POST", "/healthz", 405)],
)
async def test_errors_are_problem_documents(method, path, status):
    """An unknown path is 404 and a wrong method 405, each as application/problem+json."""
    async with serving(Health()) as client:
        reply = await client.request(method, path)
    assert reply.status_code == reply.json()["status"] == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json()) == {"type", "title", "status", "detail"}
    assert reply.headers.get("allow") == ("GET" if status == 405 else None)


async def test_a_bug_tells_nothing_about_itself(caplog):
    """A view that raises gives a 500 problem without the text of the exception, and the server lives on."""
    health = Health()
    health.ready = lambda: {}["canary"]
    async with serving(health) as client:
        reply = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert (reply.status_code, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "canary" not in reply.text


async def test_the_openapi_document_names_every_path():
    """/openapi.json describes the three paths and their 503s."""
    async with serving(Health()) as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/healthz", "/readyz", "/metrics"}
    assert set(document["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


async def test_a_port_in_use_is_named():
    """Two on one port: the second says which address it could not have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer(ApiSettings(listen=f"127.0.0.1:{port}"), Health(), Metrics())
        with pytest.raises(Unavailable, match=f"EADDRINUSE: cannot listen on 127.0.0.1:{port}"):
            await server.open()
        await server.close()


async def test_a_port_that_does_not_exist_is_named():
    """A port above 65535 is refused with the same kind of error."""
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:99999"):
        await HttpServer(ApiSettings(listen="127.0.0.1:99999"), Health(), Metrics()).open()


async def test_every_interface_is_reached_over_loopback():
    """`:0` listens everywhere, and the URL is one that a client here can use."""
    async with serving(Health(), listen=":0") as client:
        assert client.base_url.host in ("127.0.0.1", "::1")
        assert (await client.get("/healthz")).status_code == 200


async def test_cancelling_ends_it_with_connections_open():
    """Idle keep-alive connections and half-sent requests do not hold up the end, and the port is free again."""
    server = HttpServer(ApiSettings(listen="127.0.0.1:0"), Health(), Metrics())
    await server.open()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        with anyio.fail_after(HANG_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve)
                assert (await client.get("/healthz")).status_code == 200
                async with await anyio.connect_tcp("127.0.0.1", server.port) as half:
                    await half.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
                    await anyio.lowlevel.checkpoint()
                    port = server.port
                    tasks.cancel_scope.cancel()
    await server.close()
    await server.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_signals_stay_with_the_command_line():
    """Serving leaves the handlers of SIGTERM and SIGINT as they were."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(Health()) as client:
        await client.get("/healthz")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
