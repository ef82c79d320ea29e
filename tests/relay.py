"""A loopback relay in front of a server: it can cut the line between a client and the server, or hold back what passes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit


class Relay:
    """Passes bytes on to the server at `target`, a URL or the path of a Unix socket, and back.

    While cut, it resets every connection; while holding, no reply passes; while stalled, nothing passes in either direction.
    """

    def __init__(self, target: str | Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._up = True
        self._requesting = asyncio.Event()
        self._requesting.set()
        self._replying = asyncio.Event()
        self._replying.set()
        self.host, self.port = "", 0
        self.url = ""

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.host, self.port = self._server.sockets[0].getsockname()
        self.url = f"http://{self.host}:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self.release()
        self._server.close()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()

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

    def stall(self) -> None:
        """Accept connections and bytes, and pass nothing on until `release`, as a network that drops all packets."""
        self._requesting.clear()
        self._replying.clear()

    def release(self) -> None:
        """Let everything pass, also what was held back."""
        self._requesting.set()
        self._replying.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._up:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        own = {writer, far_writer}
        if not self._up:  # cut in the meantime
            for each in own:
                each.transport.abort()
            return
        self._writers |= own
        await asyncio.gather(
            self._pass_on(reader, far_writer, self._requesting),
            self._pass_on(far_reader, writer, self._replying),
        )
        self._writers -= own

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        place = urlsplit(self._target)
        return await asyncio.open_connection(place.hostname, place.port)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while data := await reader.read(65_536):
                await gate.wait()
                writer.write(data)
                await writer.drain()
            await gate.wait()
        except ConnectionError:
            pass  # the line was cut
        finally:
            writer.close()
