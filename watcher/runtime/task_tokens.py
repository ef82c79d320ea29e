"""Task tokens that no new event answers: those of tasks that had ended before, and the heartbeats between two events.

The work is read from the store, so a crash or another owner of the shard changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from watcher.errors import RemoteError
from watcher.model import DeadLetter, token_digest
from watcher.ports import Rejected, Retry, Store, TokenSink
from watcher.runtime.clock import Clock
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.leases import Leases
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.delivery")

LATE_S = 5.0
"""Seconds between two reads of late tokens, which other replicas may have admitted. Those of this process are read at once."""
LATE_TASKS = 100
"""Tasks in one such read."""
PAGE, AT_ONCE = 200, 8
"""Heartbeats in one read of the store, and how many of them are sent at the same time."""


class TaskTokens:
    """Answers late tokens, and sends heartbeats for open watches, of the shards that this process owns."""

    def __init__(self, sink: TokenSink, worker: SinkWorker, store: Store, leases: Leases, clock: Clock) -> None:
        self._sink = sink
        self._worker = worker
        self._store = store
        self._leases = leases
        self._clock = clock
        self._wakeup = Wakeup()
        self._refused: set[bytes] = set()
        """Digests of tokens whose heartbeat was refused. They get no further one, only the answer."""

    def wake(self) -> None:
        """Look for late tokens: one was admitted."""
        self._wakeup.set()

    async def run(self) -> None:
        """Answer and send until cancelled."""
        async with anyio.create_task_group() as loops:
            loops.start_soon(self._run_late, name="late tokens")
            if self._sink.heartbeat_s is not None:
                loops.start_soon(self._run_heartbeats, self._sink.heartbeat_s, name="heartbeats")

    async def _run_late(self) -> None:
        while True:
            for key in await self._store.late_tokens(self._leases.kept, LATE_TASKS):
                await self._answer(key)
            await self._wakeup.wait(LATE_S)

    async def _answer(self, key: str) -> None:
        """Send the last event of an ended task to this sink again. One that is on its way already answers the token too."""
        last = next(reversed(await self._store.task_events(key)), None)
        if last is None or not last.terminal:
            return  # erased, and perhaps submitted again, since its key was read
        id_ = f"{last.id[:12]}-{self._sink.name}-late"  # only if it is refused, there will be a dead letter with this id
        detail = f"{last.type} {last.id}"
        if_refused = DeadLetter(
            id_, "event", self._sink.name, "late_task_token", detail, last.body, last.at, key, last.position, last.shard
        )
        self._worker.retry(if_refused, stored=False)  # a dead letter of this task may be that of another late token

    async def _run_heartbeats(self, every: float) -> None:
        while True:
            began = self._clock.mono()
            await self._send_heartbeats()
            await anyio.sleep(max(0.0, began + every - self._clock.mono()))

    async def _send_heartbeats(self) -> None:
        """Send one heartbeat for each token of the open watches. One that fails is sent again in the next round."""
        refused, after = self._refused, None
        self._refused = set()
        while True:
            page = await self._store.open_tokens(self._leases.kept, after, PAGE)
            self._refused |= refused & {token_digest(token) for _, token in page.items}
            waiting = [each for each in page.items if token_digest(each[1]) not in refused]
            async with anyio.create_task_group() as sends:
                for first in range(min(AT_ONCE, len(waiting))):
                    sends.start_soon(self._send, waiting[first::AT_ONCE])
            after = page.next
            if after is None:
                return

    async def _send(self, waiting: Sequence[tuple[str, str]]) -> None:
        try:
            outcomes = await self._sink.heartbeat([token for _, token in waiting])
        except RemoteError as error:
            outcomes = [Retry(error)] * len(waiting)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
        if failed:
            reason = str(failed[0].error)
            log.warning("heartbeats_failed", sink=self._sink.name, heartbeats=len(failed), reason=reason, hint="sent again soon")
        for (key, token), outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                self._refused.add(token_digest(token))
                hint = "the execution probably does not wait any more; if it refuses the answer too, the last event becomes a dead letter"
                log.warning("task_token_refused", sink=self._sink.name, task=key, reason=outcome.reason, hint=hint)
