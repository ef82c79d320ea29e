"""The faults that play with bytes: what is sent instead of a whole, true reply.

Each takes the connection and the reply that would have been sent. When it returns, the connection is closed.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

HUGE_BYTES = 200 * 1024 * 1024
DRIP_EVERY_S = 1.0
CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection in the middle of a request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Hand bytes to the peer. Raises ConnectionError when it is gone."""
        self.writer.write(data)
        await self.writer.drain()

    async def left(self, within: float | None = None) -> bool:
        """Wait for the peer to hang up, for so many seconds at most."""
        try:
            async with asyncio.timeout(within):
                return not await self.reader.read(1)
        except TimeoutError:
            return False


@dataclass(frozen=True, slots=True)
class Reply:
    """What an honest service would send: `head(length)` and the body."""

    head: Callable[[int], bytes]
    body: bytes


Trick = Callable[[Connection, Reply], Awaitable[None]]


async def reset(connection: Connection, reply: Reply) -> None:
    """Break off with a TCP reset: a socket that does not linger drops what it has."""
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


async def hang(connection: Connection, reply: Reply) -> None:
    """Say nothing until the peer gives up."""
    await connection.left()


async def drip(connection: Connection, reply: Reply) -> None:
    """The head at once, the body byte by byte."""
    await connection.send(reply.head(len(reply.body)))
    for at in range(len(reply.body)):
        await connection.send(reply.body[at : at + 1])
        if await connection.left(DRIP_EVERY_S):
            return


async def half(connection: Connection, reply: Reply) -> None:
    """Promise a body, give half of it."""
    await connection.send(reply.head(max(2, len(reply.body))) + reply.body[: len(reply.body) // 2])


async def huge(connection: Connection, reply: Reply) -> None:
    """A reply that is a task, with a member of 200 MiB."""
    start, end = b'{"StatusMessage": "', b'"}'
    await connection.send(reply.head(HUGE_BYTES) + start)
    left = HUGE_BYTES - len(start) - len(end)
    while left:
        size = min(CHUNK, left)
        await connection.send(b"x" * size)
        left -= size
    await connection.send(end)


TRICKS: Mapping[str, Trick] = {"reset": reset, "hang": hang, "drip": drip, "half": half, "huge": huge}
"""Faults that break the connection."""

GARBAGE: tuple[bytes, ...] = (
    b"null",
    b"[]",
    b"5",
    b'"SUCCEEDED"',
    b"\xff\xfe\x00\x01 not UTF-8 \xc3\x28",
    b"[" * 5000,
    b'{"TASK": null}',
    b'{"TASK": [1, 2]}',
    b'{"TASK": {"ID": "0", "CreatedTimestamp": "the day before yesterday"}}',
    b'{"TASK": {"ID": 5, "STATUS": ["SUCCEEDED"]}}',
)
"""Replies that are no task, with TASK, ID and STATUS to be replaced by the words of the kind."""


def other_body(fault: str, task: Mapping[str, Any], words: Mapping[str, str], number: int) -> bytes:
    """The body that `fault` sends in place of `task`, the reply's JSON. `number` chooses among the garbage."""
    whole = json.dumps(task).encode()
    if fault == "empty":
        return b""
    if fault == "html":
        return b"<html><head><title>Please sign in</title></head><body>Welcome to the airport's network.</body></html>"
    if fault == "truncated":
        return whole[: len(whole) * 2 // 3]
    if fault == "wrong-id":
        return json.dumps({words["TASK"]: {**task.get(words["TASK"], {}), words["ID"]: "another-task"}}).encode()
    garbage = GARBAGE[number % len(GARBAGE)]
    for word, name in words.items():
        garbage = garbage.replace(b'"%s"' % word.encode(), b'"%s"' % name.encode())
    return garbage


BODIES = frozenset({"empty", "html", "truncated", "wrong-id", "garbage"})
"""Faults that send another body, well-formed as HTTP."""
