"""A loopback relay in front of a server: it can cut the line between a client and the server, and hold the server's replies back."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on to the server at `target` and back: a URL with a host and a port, or `unix:/path`.

    While cut, it resets every connection; while holding, no reply passes.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()
        self._up = True
        self._lines: set[asyncio.Task[None] | None] = set()
        self._replying = asyncio.Event()
        self._replying.set()
        self.url = ""

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self.release()
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*[line for line in self._lines if line is not None])

    def cut(self) -> None:
        """Reset all connections, and each new one until `restore`."""
        self._up = False
        for writer in self._writers:
            writer.transport.abort()

    def restore(self) -> None:
        """Pass new connections on again."""
        self._up = True

    def hold(self) -> None:
        """Keep replies back until `release`. Requests still pass."""
        self._replying.clear()

    def release(self) -> None:
        """Let replies pass, also those held back."""
        self._replying.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._up:
            writer.transport.abort()
            return
        if self._target.scheme == "unix":
            far_reader, far_writer = await asyncio.open_unix_connection(self._target.path)
        else:
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, far_writer}
        self._lines.add(asyncio.current_task())
        await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer, self._replying))
        self._writers -= {writer, far_writer}
        self._lines.discard(asyncio.current_task())

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event | None = None) -> None:
        try:
            while data := await reader.read(65_536):
                if gate is not None:
                    await gate.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the line was cut
        finally:
            writer.close()
