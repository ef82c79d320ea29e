"""The client of the HTTP API of a running watcher, for commands with `--url`. One attempt for each request; it never waits or logs."""

from __future__ import annotations

from watcher.adapters.api_client.client import WatcherApi, is_loopback, open_api
from watcher.adapters.api_client.server_sent_events import SentEvent

__all__ = ["SentEvent", "WatcherApi", "is_loopback", "open_api"]
