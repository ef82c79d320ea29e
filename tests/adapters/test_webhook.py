"""What a webhook receiver can verify, and the outcome of each of its replies."""

import base64
import json
import time

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from tests.adapters.hook_server import HookServer
from tests.contracts.sink_exam import an_event
from watcher.adapters.sinks.webhook import MAX_REPLY, WebhookSink, WebhookSinkSettings
from watcher.errors import Throttled, Unavailable
from watcher.ports import Delivered, Rejected, Retry

OLD, NEW, OTHER = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))
NOW = 1_795_341_612.0


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


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_any_other_4xx_is_rejected(server, sink_for, status):
    """Any other 4xx status rejects the event, with the status as the reason."""
    server.answers.append((status, {}))
    assert await (await sink_for()).send([an_event()]) == [Rejected(f"http_{status}")]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(server, sink_for, status):
    """A redirect rejects the event: it is sent to the configured host only."""
    server.answers.append((status, {"Location": server.url}))
    assert await (await sink_for()).send([an_event()]) == [Rejected(f"http_{status}")]
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
