"""What a webhook receiver can verify, and the outcome of each of its replies."""

import base64
import json
import os
import time
from dataclasses import replace

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from tests.adapters.hook_server import HookServer
from tests.contracts.sink_exam import an_event
from watcher import __version__
from watcher.adapters import http_client
from watcher.adapters.certificates import FOR_WEBHOOKS
from watcher.adapters.http_client import MAX_REPLY
from watcher.adapters.sinks.webhook import WebhookSink, WebhookSinkSettings
from watcher.errors import ConfigMistakes, Throttled, Unavailable
from watcher.ports import Delivered, Rejected, Retry

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
NOW = 1_795_341_612.0


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Neither a proxy nor certificates of the machine that runs the tests."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy") or name in FOR_WEBHOOKS]:
        monkeypatch.delenv(name)


@pytest.fixture
async def server():
    server = HookServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def sink_for(server):
    """Creates open sinks that post to the server, and closes them."""
    sinks = []

    async def make(clock=time.time, **settings):
        sink = WebhookSink(WebhookSinkSettings(url=server.url, **settings), clock=clock)
        await sink.open()
        sinks.append(sink)
        return sink

    yield make
    for sink in sinks:
        await sink.close()


async def test_receivers_verify_with_the_standard_package(server, sink_for):
    """With two secrets configured, a receiver can verify with either of them, and with no other secret."""
    sink = await sink_for(secrets=[OLD, NEW])
    event = an_event()
    assert await sink.send([event]) == [Delivered()]
    (request,) = server.requests
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(request.body, request.headers) == json.loads(event.body)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body + b" ", request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(request.body, request.headers)


async def test_a_request_is_a_structured_cloud_event(server, sink_for):
    """A request is a structured CloudEvent with the id of the event, the time of sending and the configured headers."""
    sink = await sink_for(clock=lambda: NOW + 0.9, headers={"Authorization": "Bearer abc"})
    await sink.send([an_event()])
    (request,) = server.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["authorization"] == "Bearer abc"
    assert request.headers["webhook-id"] == an_event().id
    assert request.headers["webhook-timestamp"] == str(int(NOW))
    assert "webhook-signature" not in request.headers


async def test_a_trace_context_is_in_the_headers(server, sink_for):
    """An event with a trace context is posted with the headers of W3C Trace Context, unless headers of these names are configured."""
    context = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "congo=t61rcWkgMzE"}
    traced = replace(an_event(), body=json.dumps({**json.loads(an_event().body), **context}, separators=(",", ":")).encode())
    for headers, events in (({}, [traced, an_event()]), ({"Traceparent": "mine"}, [traced])):
        await (await sink_for(headers=headers)).send(events)
    found = [{name: value for name, value in request.headers.items() if name.startswith("trace")} for request in server.requests]
    assert found == [context, {}, {"traceparent": "mine"}]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_delivered(server, sink_for, status):
    """Any 2xx status delivers the event."""
    server.reply = b""
    server.answers.append((status, {}))
    assert await (await sink_for()).send([an_event()]) == [Delivered()]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
async def test_a_temporary_error_is_retried(server, sink_for, status):
    """A temporary error is retried, after the time that the receiver asks for."""
    server.answers.append((status, {"Retry-After": "7"}))
    (outcome,) = await (await sink_for()).send([an_event()])
    assert isinstance(outcome, Retry)
    assert type(outcome.error) is (Throttled if status == 429 else Unavailable)
    assert (outcome.error.code, outcome.error.retry_after) == (str(status), 7.0)


@pytest.mark.parametrize("status", [400, 406, 409, 413, 415, 422, 431])
async def test_any_other_4xx_is_rejected(server, sink_for, status):
    """Any other 4xx status refuses the event, with the status as the reason."""
    server.answers.append((status, {}))
    (outcome,) = await (await sink_for()).send([an_event()])
    assert (outcome, outcome.cause) == (Rejected(f"http_{status}"), "unknown")


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410, 421, 426, 451])
async def test_an_answer_about_the_url_or_the_credentials_is_about_the_sink(server, sink_for, status):
    """No event alone can be at fault: while nothing else is accepted, none becomes a dead letter."""
    server.answers.append((status, {}))
    (outcome,) = await (await sink_for()).send([an_event()])
    assert (outcome, outcome.cause) == (Rejected(f"http_{status}"), "sink")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(server, sink_for, status):
    """A redirect refuses the event: it is sent to the configured host only. The URL is at fault."""
    server.answers.append((status, {"Location": server.url}))
    (outcome,) = await (await sink_for()).send([an_event()])
    assert (outcome, outcome.cause) == (Rejected(f"http_{status}"), "sink")
    assert len(server.requests) == 1


async def test_a_missing_reply_is_a_timeout(server, sink_for):
    """One deadline applies to the whole request, and its error contains nothing of the event or the path."""
    server.stalled = True
    sink = await sink_for(timeout="100ms")
    with pytest.raises(Unavailable) as caught:
        await sink.send([an_event()])
    assert str(caught.value) == "timeout: 127.0.0.1"


async def test_a_long_reply_is_not_read_to_its_end(server, sink_for):
    """The status decides: an event is delivered although the body of the reply is long and never ends."""
    server.reply, server.withheld = b"x" * (2 * MAX_REPLY), 1
    sink = await sink_for()
    assert await sink.send([an_event()]) == [Delivered()]
    server.reply, server.withheld = b"", 0
    assert await sink.send([an_event(sequence=2)]) == [Delivered()]


@pytest.mark.parametrize(("status", "outcome"), [(200, Delivered()), (202, Delivered()), (422, Rejected("http_422"))])
@pytest.mark.parametrize("how", ["withheld", "drips", "cut"])
async def test_a_body_that_never_ends_does_not_change_the_outcome(server, sink_for, monkeypatch, how, status, outcome):
    """The status decides: an event that was accepted is not sent again because the rest of the reply is slow, endless, or cut."""
    monkeypatch.setattr(http_client, "MAX_BODY_S", 0.05)
    server.withheld = 10**9
    setattr(server, how, 10**9 if how == "withheld" else True)
    server.answers += [(status, {}), (200, {})]
    sink = await sink_for(timeout=300)
    assert await sink.send([an_event()]) == [outcome]
    server.withheld, server.drips, server.cut = 0, False, False
    assert await sink.send([an_event(sequence=2)]) == [Delivered()]
    assert len(server.requests) == 2


async def test_a_request_has_no_cookies_of_an_earlier_reply(server, sink_for):
    """A cookie, such as one of a load balancer, does not tie later events to one receiver."""
    server.answers += [(200, {"Set-Cookie": f"AWSALB={n}; Path=/; Max-Age=600"}) for n in range(3)]
    sink = await sink_for()
    for n in range(1, 4):
        assert await sink.send([an_event(sequence=n)]) == [Delivered()]
    assert all("cookie" not in request.headers for request in server.requests)


async def test_a_request_names_the_watcher_and_its_version(server, sink_for):
    """The user agent is `watcher/VERSION`, unless the configuration has another one."""
    await (await sink_for()).send([an_event()])
    await (await sink_for(headers={"User-Agent": "acme-relay"})).send([an_event()])
    assert [request.headers["user-agent"] for request in server.requests] == [f"watcher/{__version__}", "acme-relay"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
async def test_a_proxy_of_the_environment_is_used(server, sink_for, monkeypatch, variable):
    """The request goes to the proxy, with its credentials, and `check` tries the proxy and not the receiver."""
    monkeypatch.setenv(variable, f"http://user:pa%40ss@127.0.0.1:{server.port}")
    sink = WebhookSink(WebhookSinkSettings(url="http://hooks.example.invalid/x"), clock=time.time)
    await sink.open()
    assert await sink.send([an_event()]) == [Delivered()]
    (request,) = server.requests
    assert request.line == "POST http://hooks.example.invalid/x HTTP/1.1"
    assert request.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"user:pa@ss").decode()
    assert await sink.check() == f"the proxy 127.0.0.1:{server.port} of {variable} accepts connections"
    await sink.close()


@pytest.mark.parametrize("no_proxy", ["[::1], fd00::/8,127.0.0.0/8", "127.0.0.1:*, [, *"])
async def test_any_no_proxy_can_be_used(server, sink_for, monkeypatch, no_proxy):
    """A network, an IPv6 address in brackets, or an entry in no known form does not fail the start."""
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert await (await sink_for()).send([an_event()]) == [Delivered()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere/ca.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_FILE", "/"),
        ("SSL_CERT_DIR", "/nowhere"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080"),
        ("HTTP_PROXY", "http://[::1"),
    ],
)
async def test_an_environment_that_cannot_be_used_is_a_mistake_of_the_configuration(monkeypatch, name, value):
    """Certificates that are missing or damaged, and a proxy that cannot be used: the mistake names the variable."""
    monkeypatch.setenv(name, value)
    sink = WebhookSink(WebhookSinkSettings(url="http://hooks.example.invalid/x"), clock=time.time)
    with pytest.raises(ConfigMistakes, match=f"^environment: {name}: "):
        await sink.open()


async def test_check_posts_nothing(server, sink_for):
    """A check opens and closes a connection, and posts nothing."""
    seen = await (await sink_for()).check()
    assert seen == f"127.0.0.1:{server.port} accepts connections"
    assert server.requests == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.com/"},
        {"url": "example.com/hook"},
        {"url": "https://"},
        {"url": "https://example.com:99999/"},
        {"url": "https://user:canary@example.com/"},
        {"secrets": ["whsec_canary"]},
        {"secrets": ["whsec_" + base64.b64encode(b"canary").decode()]},
        {"headers": {"Webhook-Id": "canary"}},
        {"headers": {"Host": "canary"}},
        {"headers": {"X Y": "canary"}},
        {"headers": {"X-Token": "canary\r\nX-Other: 1"}},
        {"headers": {"X-Team": "canary in Zürich"}},
        {"timeout": 0},
        {"concurrency": 0},
    ],
)
def test_invalid_settings_are_rejected(wrong):
    """Settings that cannot work or would leak a secret are rejected, and the error does not repeat them."""
    with pytest.raises(ValidationError) as caught:
        WebhookSinkSettings(**{"url": "https://example.com/hook", **wrong})
    assert "canary" not in str(caught.value)
