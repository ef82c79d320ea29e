"""The client of the HTTP API, for commands with `--url`. It makes one attempt for each request, and never sleeps or logs."""

from __future__ import annotations

from watcher.adapters.api_client.client import WatcherApi, is_loopback, open_api
from watcher.adapters.api_client.server_sent_events import SentEvent

__all__ = ["SentEvent", "WatcherApi", "is_loopback", "open_api"]
