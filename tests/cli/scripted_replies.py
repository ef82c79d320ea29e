"""A loopback HTTP server that answers every request with one reply: for what a command must do with replies of others than a watcher."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Replies:
    """The reply, and the headers of the requests so far."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[Replies]:
    """Answer until the end of the block. In the names of headers, `_` stands for `-`."""
    replies = Replies(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            replies.requests.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(replies.status)
            for name, value in replies.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(replies.body)))
            self.end_headers()
            self.wfile.write(replies.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    replies.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield replies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
