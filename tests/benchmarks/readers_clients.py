"""Clients that follow events: `python -m tests.benchmarks.readers_clients PORT READERS STUCK EVENTS`.

Prints a line as soon as all are connected, and a report as JSON when all that read have all events.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

REQUEST = b"GET /v1/events?after=now HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
COMMITTED = re.compile(rb'"committed": ([0-9.]+)')
PATIENCE_S = 120.0


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(REQUEST)
    await reader.readuntil(b"id: ")
    await reader.readuntil(b"\n\n")
    return reader, writer


async def _follow(reader: asyncio.StreamReader, events: int, delays: list[float]) -> int:
    received = 0
    while received < events:
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        if (committed := COMMITTED.search(line)) is not None:
            received += 1
            delays.append(time.time() - float(committed[1]))
    return received


async def main(port: int, readers: int, stuck: int, events: int) -> None:
    connections = [await _connect(port) for _ in range(readers + stuck)]
    print("connected", flush=True)
    delays: list[float] = []
    async with asyncio.timeout(PATIENCE_S):
        counts = await asyncio.gather(*(_follow(reader, events, delays) for reader, _ in connections[:readers]))
    print(json.dumps({"received": sum(counts), "delays": delays[:: max(1, len(delays) // 20_000)]}), flush=True)
    for _, writer in connections:
        writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
