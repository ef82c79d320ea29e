"""The faults that break the bytes of a reply.

A connection fault sends the reply in part or not at all. A body fault sends another body in a reply that is valid HTTP.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from watcher.simulator.wire import HttpConnection, HttpReply

HUGE_BYTES = 200 * 1024 * 1024
DRIP_EVERY_S = 1.0
CHUNK = 64 * 1024

ConnectionFault = Callable[[HttpConnection, HttpReply], Awaitable[None]]
"""Takes the reply that would be sent. When it returns, the connection is closed."""


async def reset(connection: HttpConnection, reply: HttpReply) -> None:
    """Send a TCP reset: closing a socket whose linger time is 0 discards unsent data."""
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.writer.transport.abort()


async def hang(connection: HttpConnection, reply: HttpReply) -> None:
    """Send nothing until the client closes the connection."""
    await connection.closed_by_client()


async def drip(connection: HttpConnection, reply: HttpReply) -> None:
    """Send the head at once, then the body byte by byte."""
    await connection.write(connection.head(reply, len(reply.body)))
    for at in range(len(reply.body)):
        await connection.write(reply.body[at : at + 1])
        if await connection.closed_by_client(DRIP_EVERY_S):
            return


async def half(connection: HttpConnection, reply: HttpReply) -> None:
    """Announce a whole body and send half of it."""
    await connection.write(connection.head(reply, max(2, len(reply.body))) + reply.body[: len(reply.body) // 2])


async def huge(connection: HttpConnection, reply: HttpReply) -> None:
    """Send a JSON object with a member of 200 MiB."""
    start, end = b'{"StatusMessage": "', b'"}'
    await connection.write(connection.head(reply, HUGE_BYTES) + start)
    left = HUGE_BYTES - len(start) - len(end)
    while left:
        size = min(CHUNK, left)
        await connection.write(b"x" * size)
        left -= size
    await connection.write(end)


CONNECTION_FAULTS: Mapping[str, ConnectionFault] = {"reset": reset, "hang": hang, "drip": drip, "half": half, "huge": huge}

BODY_FAULTS = frozenset({"empty", "html", "truncated", "wrong-id", "garbage"})

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
"""Bodies that are not a task. TASK, ID and STATUS stand for the member names of the kind."""


def faulty_body(fault: str, body: Mapping[str, Any], members: Mapping[str, str], number: int) -> bytes:
    """Return the body that `fault` sends instead of `body`.

    `members` maps TASK, ID and STATUS to the member names of the kind. `number` selects one of the `GARBAGE`.
    """
    whole = json.dumps(body).encode()
    if fault == "empty":
        return b""
    if fault == "html":
        return b"<html><head><title>Please sign in</title></head><body>Welcome to the airport's network.</body></html>"
    if fault == "truncated":
        return whole[: len(whole) * 2 // 3]
    if fault == "wrong-id":
        return json.dumps({members["TASK"]: {**body.get(members["TASK"], {}), members["ID"]: "another-task"}}).encode()
    garbage = GARBAGE[number % len(GARBAGE)]
    for placeholder, name in members.items():
        garbage = garbage.replace(b'"%s"' % placeholder.encode(), b'"%s"' % name.encode())
    return garbage
