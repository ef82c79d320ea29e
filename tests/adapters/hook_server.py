"""A webhook receiver on loopback that records requests and sends scripted replies."""

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


class HookServer:
    """Sends `answers` first, as (status, headers), then status 200. With `stalled` it reads requests and sends no reply."""

    def __init__(self):
        self.requests = []
        self.answers = deque()
        self.stalled = False
        self.reply = b"ok"
        self.withheld = 0
        """Bytes of the reply that are announced in its length but never sent."""
        self.drips = False
        """The body of a reply has no end: a byte comes every few milliseconds."""
        self.cut = False
        """The connection is closed before the announced end of the body."""
        self.port = 0
        self._connections = set()
        self._server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader, writer):
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers["content-length"]))
                self.requests.append(Request(head[0], headers, body))
                if self.stalled:
                    continue
                status, extra = self.answers.popleft() if self.answers else (200, {})
                lines = [
                    f"HTTP/1.1 {status} X",
                    f"content-length: {len(self.reply) + self.withheld}",
                    *(f"{n}: {v}" for n, v in extra.items()),
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode() + self.reply)
                await writer.drain()
                if self.cut:
                    return
                while self.drips:
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.005)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._connections.discard(writer)
            writer.close()
