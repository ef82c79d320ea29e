"""SQS queues at moto's server, as clients of the watcher see them. moto serves in a thread of this process, so calls run in another one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from anyio.to_thread import run_sync

from tests.moto_server import plain_client

WAITING = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


class Queue:
    """A queue by its name, which need not exist yet."""

    def __init__(self, server_url: str, name: str = "tasks") -> None:
        self.name = name
        self.url = f"{server_url}/123456789012/{name}"
        self.sqs: Any = plain_client("sqs", server_url)

    async def create(self) -> None:
        """Make it."""
        await run_sync(partial(self.sqs.create_queue, QueueName=self.name))

    async def delete(self) -> None:
        """Remove it with all that it holds."""
        await run_sync(partial(self.sqs.delete_queue, QueueUrl=self.url))

    async def send(self, bodies: Iterable[str]) -> None:
        """Put these messages into it, in this order."""
        await run_sync(self._send, list(bodies))

    def _send(self, bodies: list[str]) -> None:
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    async def receive(self) -> list[str]:
        """Take at most ten messages out of it."""
        return await run_sync(self._receive)

    def _receive(self) -> list[str]:
        messages = self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]

    async def left(self) -> int:
        """How many messages were not deleted yet."""
        reply = await run_sync(partial(self.sqs.get_queue_attributes, QueueUrl=self.url, AttributeNames=WAITING))
        return sum(int(reply["Attributes"][name]) for name in WAITING)

    async def is_empty(self) -> bool:
        """Whether every message was deleted."""
        return await self.left() == 0
