"""moto's server on loopback, the environment variables that point every SDK at it, and a plain client to look behind it.

A conftest that needs it imports `moto_server` and `moto_url`. Without moto those tests are skipped; with CI=true they fail, so that a
skipped exam does not pass for a passed one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.process import HANG_S

REGION = "us-east-1"


def environment(url: str) -> dict[str, str]:
    """The environment variables with which every AWS SDK calls the server at `url` and no other."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    try:
        from moto.server import ThreadedMotoServer
    except ImportError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("moto[server] is not installed")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        _lose_no_messages(patch)
        _keep_the_order(patch)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


def _lose_no_messages(patch: pytest.MonkeyPatch) -> None:
    """Delete messages under the lock under which moto adds them: it copies the list without, and so loses one that another thread adds."""
    from moto.sqs.models import Queue

    delete = Queue.delete_message

    def delete_message(self: Any, receipt_handle: str) -> None:
        with self._messages_lock:
            delete(self, receipt_handle)

    patch.setattr(Queue, "delete_message", delete_message)


def _keep_the_order(patch: pytest.MonkeyPatch) -> None:
    """Give out no message of a FIFO queue while the queue has an earlier one of its group, as SQS does.

    When several messages of a group become visible again, moto would give out the last of them first.
    """
    from moto.sqs.models import SQSBackend

    receive = SQSBackend.receive_message

    def receive_message(self: Any, queue_name: str, *arguments: Any) -> list[Any]:
        queue, given = self.get_queue(queue_name), {}
        for message in receive(self, queue_name, *arguments):
            of_group = [each for each in queue._messages if each.group_id == message.group_id]
            ids = [each.id for each in of_group]
            if queue.fifo_queue and message.id in ids and not given.keys() >= set(ids[: ids.index(message.id)]):
                of_group[ids.index(message.id)].change_visibility(0)
                queue.pending_messages.discard(of_group[ids.index(message.id)])
            else:
                given[message.id] = message
        return list(given.values())

    patch.setattr(SQSBackend, "receive_message", receive_message)


@pytest.fixture
def moto_url(moto_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty moto server, and the environment of the process pointed at it. Ends after the last request to it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(moto_server).items():
        monkeypatch.setenv(name, value)
    reset(moto_server)
    yield moto_server
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:  # a long poll of a process that was killed would take messages of the next test
            thread.join(HANG_S)


def reset(url: str) -> None:
    """Delete everything the server holds."""
    import httpx

    httpx.post(f"{url}/moto-api/reset", trust_env=False).raise_for_status()


def plain_client(service: str, url: str) -> Any:
    """A botocore client, to create queues and to look into them without the code under test."""
    return _session().create_client(service, REGION, endpoint_url=url, aws_access_key_id="testing", aws_secret_access_key="testing")


@cache
def _session() -> Any:
    """One session for all clients: it reads the descriptions of the services, which takes longer than a test."""
    import botocore.session

    return botocore.session.Session()
