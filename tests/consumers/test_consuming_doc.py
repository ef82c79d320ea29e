"""docs/consuming.md: each consumer gets every event, in order for each task, and does no work twice, although it is killed on the way."""

from __future__ import annotations

import base64
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.cli.running_api import READ, TOKENS, RunningApi
from tests.consumers.consumer import MAX_LINES, Consumer, Done, code_of
from tests.moto_server import environment, plain_client
from tests.process import POLL_S
from tests.queries.recorded import RecordedTask, record
from watcher.adapters.sinks.sqs import SqsSink, SqsSinkSettings
from watcher.adapters.sinks.webhook import WebhookSink, WebhookSinkSettings, signature_headers
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.model import Event

LANGUAGES = ("python", "javascript")
STATUSES = ("IN_QUEUE", "IN_PROGRESS", "SUCCEEDED")
SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return tmp_path


def recorded(count: int, sinks: Sequence[str]) -> None:
    """Create the store with so many tasks, which have three events each that no sink has yet."""

    async def write() -> None:
        store = SqliteStore(SqliteStoreSettings(path="w.db"))
        await store.open(sinks)
        try:
            for n in range(count):
                await record(store, RecordedTask(f"t{n}").seen("IN_QUEUE", 30).seen("IN_PROGRESS", 20).seen("SUCCEEDED", 10))
        finally:
            await store.close()

    anyio.run(write)


def stored_event(task: str) -> Event:
    """The first event of a task, as it was sent before."""

    async def read() -> Event:
        store = SqliteStore(SqliteStoreSettings(path="w.db"))
        await store.attach()
        try:
            return (await store.task_events(f"speaker-search/abc/{task}"))[0]
        finally:
            await store.close()

    return anyio.run(read)


def until_empty(client: Any, url: str) -> None:
    """Wait until a queue has no message, not even one that a receiver holds."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while any(int(count) for count in client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()):
        time.sleep(POLL_S)


def together(work: Callable[[Consumer], None], consumers: Sequence[Consumer]) -> None:
    """Do this with each consumer at the same time. Raises the first error."""
    with ThreadPoolExecutor(len(consumers)) as pool:
        list(pool.map(work, consumers))


def killed_twice(total: int) -> Callable[[Consumer], None]:
    """What kills a consumer after a tenth and after half of all events, and lets it do the rest."""

    def work(consumer: Consumer) -> None:
        for count in (total // 10, total // 2, total):
            consumer.run_until(count)

    return work


def check(done: Sequence[Done], tasks: int) -> None:
    """Check that the work is the three events of each task, in order, each one once."""
    by_task: dict[str, list[Done]] = defaultdict(list)
    for each in done:
        by_task[each.task].append(each)
    assert set(by_task) == {f"speaker-search/abc/t{n}" for n in range(tasks)}
    for task, found in by_task.items():
        assert found == [Done(task, f"{n:010}", status) for n, status in enumerate(STATUSES, start=1)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("way", ["sse", "webhook", "sqs"])
def test_a_consumer_is_short(way: str, language: str) -> None:
    """No consumer on the page has more than 30 lines of code; empty lines are not counted."""
    assert len([line for line in code_of(way, language).splitlines() if line.strip()]) <= MAX_LINES


@pytest.mark.process
def test_the_stream_is_consumed(here: Path) -> None:
    """A consumer of server-sent events continues after its own kill and after a restart of the watcher, and ignores what it has seen."""
    tasks = 40
    recorded(tasks, ["log"])
    api = RunningApi(*TOKENS)
    with ExitStack() as stack:
        with api.running():
            consumers = [Consumer("sse", language, here, {"WATCHER_URL": api.url, "WATCHER_TOKEN": READ}) for language in LANGUAGES]
            together(killed_twice(3 * tasks), consumers)
            for consumer in consumers:
                check(consumer.done(), tasks)
                consumer.forget_cursor()  # so that every event comes again
                stack.enter_context(consumer.running())
            api.submit("new-1")
            together(lambda consumer: consumer.wait_for(3 * tasks + 1), consumers)
        with api.running():
            api.submit("new-2")
            together(lambda consumer: consumer.wait_for(3 * tasks + 2), consumers)
    for consumer in consumers:
        assert consumer.done()[3 * tasks :] == [Done(f"speaker-search/abc/new-{n}", "0000000001", "IN_PROGRESS") for n in (1, 2)]


@pytest.mark.process
def test_the_stream_is_not_consumed_with_a_wrong_token(here: Path) -> None:
    """A consumer of server-sent events ends when a person must act."""
    recorded(0, ["log"])
    api = RunningApi(*TOKENS)
    with api.running():
        for language in LANGUAGES:
            consumer = Consumer("sse", language, here, {"WATCHER_URL": api.url, "WATCHER_TOKEN": "x" * 20})
            with consumer.running():
                assert consumer.exit_code() == 1
            assert "401" in consumer.log()


@pytest.mark.process
def test_webhooks_are_consumed(here: Path) -> None:
    """A receiver of webhooks gets what it missed while it was down, ignores a repeat, and rejects a request without a signature."""
    tasks = 25
    recorded(tasks, LANGUAGES)
    ports = {language: free_port() for language in LANGUAGES}
    urls = {language: f"http://127.0.0.1:{port}/" for language, port in ports.items()}
    settings = [WebhookSinkSettings(name=language, url=url, secrets=(SECRET,)) for language, url in urls.items()]  # type: ignore[arg-type]
    api = RunningApi(sinks=lambda _: [WebhookSink(each, clock=time.time) for each in settings])
    consumers = [Consumer("webhook", name, here, {"PORT": str(port), "WEBHOOK_SECRET": SECRET}) for name, port in ports.items()]
    with api.running():
        together(killed_twice(3 * tasks), consumers)
    for consumer, url in zip(consumers, urls.values(), strict=True):
        with consumer.running():
            consumer.wait_for_port(url)
            assert httpx.post(url, json={}, trust_env=False).status_code == 401
            event = stored_event("t0")
            headers = dict(signature_headers(event, int(time.time()), [b"k" * 32]))
            assert httpx.post(url, content=event.body, headers=headers, trust_env=False).status_code == 204
        check(consumer.done(), tasks)


@pytest.mark.process
def test_queues_are_consumed(here: Path, moto_url: str) -> None:
    """A consumer of a FIFO queue gets the messages again that it had not deleted when it was killed, and ignores a repeat."""
    tasks = 12
    recorded(tasks, LANGUAGES)
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "2", "ReceiveMessageWaitTimeSeconds": "1"}
    client = plain_client("sqs", moto_url)
    urls = {name: client.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"] for name in LANGUAGES}
    api = RunningApi(sinks=lambda aws: [SqsSink(SqsSinkSettings(name=name, queue_url=url), aws) for name, url in urls.items()])
    consumers = [Consumer("sqs", name, here, {**environment(moto_url), "QUEUE_URL": url}) for name, url in urls.items()]
    with api.running():
        together(killed_twice(3 * tasks), consumers)
    for url in urls.values():
        body = stored_event("t0").body.decode()
        client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="repeat", MessageDeduplicationId="repeat")
    with ExitStack() as stack:
        for consumer in consumers:
            stack.enter_context(consumer.running())
        for url in urls.values():
            until_empty(client, url)
    for consumer in consumers:
        check(consumer.done(), tasks)
