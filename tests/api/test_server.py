"""The HTTP API as a client sees it: a real server on loopback, in the event loop of the test."""

import signal
import socket
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.api.health_only import health_server
from tests.process import HANG_S
from watcher.errors import Unavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition

CATALOG = builtin_catalog()


class SetHealth:
    """A `HealthView` whose answers the test sets."""

    def __init__(self):
        self.loop_runs, self.components = True, {"store": Condition(True, "ok", 1763805600.0)}

    def alive(self):
        return self.loop_runs, {"tick_age_s": 0.2 if self.loop_runs else 99.0}

    def ready(self):
        return all(c.ok for c in self.components.values()), self.components


@asynccontextmanager
async def serving(health, metrics=None, listen="127.0.0.1:0"):
    server = health_server(health, metrics or Metrics(CATALOG), listen)
    await server.open()
    async with anyio.create_task_group() as tasks, httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        tasks.start_soon(server.serve)
        try:
            yield client
        finally:
            tasks.cancel_scope.cancel()
    await server.close()


async def test_liveness_depends_on_the_event_loop_only():
    """/healthz is 200 while the event loop runs, also when a component does not work, and 503 when it does not run."""
    health = SetHealth()
    health.components["credentials"] = Condition(False, "credentials", 1763805600.0, "check the credentials")
    async with serving(health) as client:
        reply = await client.get("/healthz")
        assert (reply.status_code, reply.json()) == (200, {"ok": True, "tick_age_s": 0.2})
        health.loop_runs = False
        reply = await client.get("/healthz")
        assert (reply.status_code, reply.json()) == (503, {"ok": False, "tick_age_s": 99.0})


async def test_readiness_lists_what_does_not_work():
    """/readyz is 503 with the name, reason, time and hint of a component that does not work, and 200 when all work."""
    health = SetHealth()
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


async def test_metrics_are_served_as_text():
    """/metrics returns the metrics of this watcher in the text format of Prometheus."""
    metrics = Metrics(CATALOG)
    metrics.inputs.labels("queue", "admitted").inc(3)
    async with serving(SetHealth(), metrics) as client:
        reply = await client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'watcher_inputs_total{outcome="admitted",source="queue"} 3.0' in reply.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/healthz/", 404), ("GET", "/docs", 404), ("GET", "/redoc", 404), ("POST", "/healthz", 405)],
)
async def test_errors_are_problem_documents(method, path, status):
    """An unknown path is answered with 404 and a wrong method with 405, each as application/problem+json."""
    async with serving(SetHealth()) as client:
        reply = await client.request(method, path)
    assert reply.status_code == reply.json()["status"] == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert set(reply.json()) == {"type", "title", "status", "detail"}
    assert reply.headers.get("allow") == ("GET, HEAD" if status == 405 else None)


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
async def test_head_is_answered_like_get_without_the_body(path, good):
    """HEAD has the status, the type and the length of the reply to GET, whether the watcher works or not, and no body."""
    health = SetHealth()
    health.loop_runs, health.components["sink:bus"] = good, Condition(good, "denied", 1763805612.0)
    async with serving(health) as client:
        got, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.headers["content-type"], head.content) == (got.status_code, got.headers["content-type"], b"")
    assert path == "/metrics" or head.headers["content-length"] == got.headers["content-length"]


async def test_the_answer_to_a_bug_has_no_details(caplog):
    """An exception of the view is answered with 500 without its text, and the server continues."""
    health = SetHealth()
    health.ready = lambda: {}["canary"]
    async with serving(health) as client:
        reply = await client.get("/readyz")
        assert (await client.get("/healthz")).status_code == 200
    assert (reply.status_code, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "canary" not in reply.text


async def test_the_openapi_document_has_every_path():
    """/openapi.json describes the three paths and their status codes."""
    async with serving(SetHealth()) as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/healthz", "/readyz", "/metrics"}
    assert set(document["paths"]["/readyz"]["get"]["responses"]) == {"200", "503"}


async def test_the_error_for_a_port_in_use_names_it():
    """For a port in use, the error names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = health_server(SetHealth(), Metrics(CATALOG), f"127.0.0.1:{port}")
        with pytest.raises(Unavailable, match=f"EADDRINUSE: cannot listen on 127.0.0.1:{port}"):
            await server.open()
        await server.close()


async def test_the_error_for_an_invalid_port_names_it():
    """For a port above 65535, the error names host and port."""
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:99999"):
        await health_server(SetHealth(), Metrics(CATALOG), "127.0.0.1:99999").open()


async def test_the_url_of_all_interfaces_is_loopback():
    """A server that listens on all interfaces has a URL that a client on this machine can use."""
    async with serving(SetHealth(), listen=":0") as client:
        assert client.base_url.host in ("127.0.0.1", "::1")
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("listen", "hosts"),
    [
        (":0", ["127.0.0.1", "[::1]"]),
        ("[::]:0", ["127.0.0.1", "[::1]"]),
        ("localhost:0", ["localhost", "127.0.0.1"]),
        ("[::1]:0", ["[::1]"]),
        ("0.0.0.0:0", ["127.0.0.1"]),
    ],
)
async def test_all_addresses_of_a_host_are_served(listen, hosts):
    """Without a host and with `::` the server answers over IPv4 and IPv6, with a host on each of its addresses, and on no other one."""
    async with serving(SetHealth(), listen=listen) as client:
        port = client.base_url.port
        for host in hosts:
            assert (await client.get(f"http://{host}:{port}/healthz")).status_code == 200
        for host in {"127.0.0.1", "[::1]"} - set(hosts) if "localhost" not in listen else ():
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://{host}:{port}/healthz")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_a_port_that_is_taken_over_ipv4_is_in_use():
    """A server of all addresses does not start while another process has the port over IPv4 only: it would get part of the requests."""
    with socket.create_server(("0.0.0.0", 0)) as taken:
        server = health_server(SetHealth(), Metrics(CATALOG), f"[::]:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="EADDRINUSE"):
            await server.open()


async def test_open_connections_do_not_delay_the_end():
    """With an idle connection and half a request, the server ends when it is cancelled, and the port is free again."""
    server = health_server(SetHealth(), Metrics(CATALOG))
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


async def test_the_server_handles_no_signals():
    """While the server runs, the handlers of SIGTERM and SIGINT stay as they are."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(SetHealth()) as client:
        await client.get("/healthz")
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
