"""A running watcher with an HTTP API, in a thread beside the commands of a test: on the store `w.db`, with a simulated service.

The service throttles every call, so only a test changes a task: by a message that contains its status.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
from anyio.from_thread import start_blocking_portal
from structlog.testing import capture_logs

from tests.process import POLL_S
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.app import App
from watcher.config import Settings, catalog_of
from watcher.ports import Sink
from watcher.runtime.service import Adapters
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

READ, WRITE = "read-token-of-the-tests", "write-token-of-the-tests"
TOKENS = [{"name": "reader", "role": "read", "token": READ}, {"name": "writer", "role": "write", "token": WRITE}]


class RunningApi:
    """The API at `url`. `tokens` are those of `api.tokens`; `sinks` makes the sinks, in place of one that accepts every event.

    `kinds` and `targets` are those of the configuration.
    """

    def __init__(
        self,
        *tokens: dict[str, str],
        sinks: Callable[[AwsClients], Sequence[Sink]] | None = None,
        kinds: Sequence[dict[str, Any]] = (),
        targets: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.url = ""
        self._targets = targets
        self._kinds = kinds
        self._sinks = sinks
        self._tokens = tokens
        self._port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run until the end of the block. A second run has the port of the first one."""
        with capture_logs(), start_blocking_portal() as portal, portal.wrap_async_context_manager(self._app()) as app:
            self._port, self.url = app.http.server.port, app.http.url
            running = portal.start_task_soon(app.run)
            try:
                if self._sinks is None:
                    portal.call(_until_delivered, app)
                yield
            finally:
                portal.call(app.stop)
                running.result()

    def submit(self, *ids: str) -> None:
        """Submit speaker searches of voice connector `abc` in progress to the API. Each one has an event at once."""
        self.post([seen_task(each) for each in ids])

    def post(self, tasks: Sequence[dict[str, Any]]) -> None:
        """Submit messages to the API."""
        headers = {"authorization": f"Bearer {WRITE}"} if self._tokens else {}
        httpx.post(f"{self.url}/v1/tasks", json=list(tasks), headers=headers, trust_env=False).raise_for_status()

    def _app(self) -> Any:
        settings = Settings.model_validate(
            {
                "sources": [{"type": "lines", "path": "tasks.txt"}],
                "sinks": [{"type": "jsonl", "name": "log", "path": "out.jsonl"}],
                "store": {"type": "sqlite", "path": "w.db"},
                "api": {"listen": f"127.0.0.1:{self._port}", "tokens": self._tokens},
                "limits": {"stop_deadline": 5},
                "kinds": self._kinds,
                "targets": self._targets,
            }
        )
        aws = AwsClients()
        adapters = Adapters(
            sources=[SimulatedQueue(finite=False)],
            probe=SimulatedProbe(VoiceService(Scenario(quota=0), time.time)),
            store=SqliteStore(SqliteStoreSettings(path="w.db")),
            sinks=[SimulatedInbox(name="log")] if self._sinks is None else self._sinks(aws),
        )
        return App(settings, catalog_of(settings), adapters, aws, time.time)


async def _until_delivered(app: App) -> None:
    """Wait until the sink has what was recorded, so that a command sees the same at any time."""
    while any(backlog.events for backlog in (await app.adapters.store.backlog()).values()):  # noqa: ASYNC110 - the store sets no event
        await anyio.sleep(POLL_S)


def seen_task(id_: str, connector: str = "abc") -> dict[str, Any]:
    """A message for a speaker search that contains its status, so that its first event needs no call."""
    now = time.time()
    return {
        "SpeakerSearchTaskId": id_,
        "SpeakerSearchTaskStatus": "IN_PROGRESS",
        "CallDetails": {"VoiceConnectorId": connector},
        **dict.fromkeys(("CreatedTimestamp", "StartedTimestamp", "UpdatedTimestamp"), now),
    }


def lines(text: str) -> list[dict[str, Any]]:
    """The events that a command has printed."""
    return [json.loads(line) for line in text.splitlines()]
