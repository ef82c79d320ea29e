"""The unreliable peers of the watcher in a story: the queue, the sinks, and the service. They record what happens to them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any, TypeVar

import anyio

from tests.simulation.batch_kind import ALL_CLUSTERS, BROKEN, NAME, STUCK, batch_ref
from tests.simulation.story import ENDLESS, ENDLESS_S, TONE
from watcher.errors import CredentialsRejected, RemoteError, Throttled, Unavailable
from watcher.model import Event, Message, Observation, TaskRef
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.simulator.declared import DeclaredService
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.service import VoiceService
from watcher.simulator.simulated_kinds import TERMINAL, SimulatedKind
from watcher.simulator.simulated_task import CallDetails, SimulatedTask
from watcher.simulator.task_table import TaskTable

T = TypeVar("T")


class UnreliableQueue(SimulatedQueue):
    """Acknowledgements fail, some of them after they took effect."""

    def __init__(self, rng: Random, *, hold_s: float, lost_acks: float) -> None:
        super().__init__(hold_s=hold_s, finite=False)
        self.lost_acks = lost_acks
        """The share of acknowledgements that fail."""
        self._rng = rng
        self._received: list[Message] = []
        """By the current process, and not acknowledged."""

    def begin(self) -> None:
        """Start a new process of the watcher, which has received nothing yet."""
        self._received.clear()

    def holds(self, text: str) -> bool:
        """Whether a message with this text is yet to be admitted: it waits here, or the watcher has received it."""
        bodies = [queued.body for queued in self._queued.values()] + [message.body for message in self._received]
        return any(text in body.decode() for body in bodies)

    async def receive(self) -> Sequence[Message] | None:
        messages = await super().receive()
        self._received += messages or ()
        return messages

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        self._received = [received for received in self._received if received not in messages]
        await anyio.sleep(self._rng.uniform(0, 0.05))
        lost = [message for message in messages if self._rng.random() < self.lost_acks]
        lost_after_effect = [message for message in lost if self._rng.random() < 0.5]
        failed = await super().ack([message for message in messages if message not in lost] + lost_after_effect)
        return [*(message for message in failed if message not in lost), *lost]


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that a sink accepted or rejected, and when."""

    event: Event
    at: float
    accepted: bool
    refusing: bool = False
    """The sink refused every event at that time."""


class UnreliableInbox(SimulatedInbox):
    """Some batches are accepted, and the reply is lost."""

    def __init__(self, rng: Random, *, name: str, lost_replies: float, latency_s: float, when: Callable[[], float]) -> None:
        super().__init__(name=name, max_batch=rng.choice([1, 5, 10]), concurrency=rng.choice([1, 4]), latency_s=latency_s)
        self.replies_lost = 0
        self.sent: list[Sent] = []
        """Every event that it accepted or rejected, in order, repeats included."""
        self.lost_replies = lost_replies
        """The share of batches whose reply is lost."""
        self.refusing = False
        """It refuses every event."""
        self._rng = rng
        self._when = when

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        if self.refusing and self.failure is None:
            outcomes: Sequence[Outcome] = [Rejected("http_400")] * len(events)
        else:
            outcomes = await super().send(events)
        for event, outcome in zip(events, outcomes, strict=True):
            if not isinstance(outcome, Retry):
                self.sent.append(Sent(event, self._when(), isinstance(outcome, Delivered), self.refusing))
        if self._rng.random() < self.lost_replies:
            self.replies_lost += 1
            raise Unavailable("connection lost")
        await anyio.sleep(self.latency_s)
        return outcomes


class TasksWithEndless(TaskTable):
    """The tasks of the service, some of which never end."""

    def _create(self, kind: SimulatedKind, connector: str, task_id: str, call: CallDetails | None, now: float) -> SimulatedTask:
        created = super()._create(kind, connector, task_id, call, now)
        if task_id.startswith(ENDLESS):
            created.periods = tuple(period for period in created.periods if period.status not in TERMINAL)
        return created


class RecordingProbe(SimulatedProbe):
    """Records when each call was made. Dates observations by the wall clock of the watcher, which a story may set."""

    def __init__(self, service: VoiceService, wall: Callable[[], float], declared: DeclaredService | None = None) -> None:
        super().__init__(service, declared=declared)
        self.seen: Counter[str] = Counter()
        """How often each thing that only calls about several tasks have occurred."""
        self.broken: list[str] = []
        """Calls that must not be, one sentence each."""
        self.calls: list[defaultdict[str, list[float]]] = []
        """When, for each process of the watcher, by kind of task."""
        self.needless_refreshes = 0
        """How often credentials were refreshed although no call had been accepted with the last ones."""
        self.on_refresh: Callable[[], None] | None = None
        """What a refresh of the credentials changes."""
        self.misdirection: RemoteError | None = None
        """What every call raises, because it does not reach the service."""
        self.misdirected = 0
        """The number of such calls."""
        self._wall = wall
        self._accepted = True

    def begin(self) -> None:
        """Start a new process of the watcher."""
        self.calls.append(defaultdict(list))
        self._accepted = True

    async def refresh(self, target: str) -> None:
        await super().refresh(target)
        self.needless_refreshes += not self._accepted
        self._accepted = False
        if self.on_refresh is not None:
            self.on_refresh()

    async def observe_one(self, ref: TaskRef) -> Observation:
        seen = await self.recorded(ref.kind, partial(super().observe_one, ref))
        return replace(seen, observed_at=self._wall())

    async def recorded(self, kind: str, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call and record it."""
        self.calls[-1][kind].append(anyio.current_time())
        if self.misdirection is not None:
            self.misdirected += 1
            await anyio.sleep(0.05)
            raise self.misdirection or Unavailable("it reaches the service again")
        try:
            reply = await call()
        except RemoteError as error:
            self._accepted = self._accepted or not isinstance(error, CredentialsRejected | Unavailable | Throttled)
            raise
        self._accepted = True
        return reply


def reply_message(rng: Random, task: SimulatedTask, now: float) -> str:
    """What the call that started a task replied, in one of the forms in which people have it. `now` is the service's clock."""
    more = {"deadline_s": ENDLESS_S} if task.task_id.startswith(ENDLESS) else {}
    shown, member = task.reply(now), task.kind.task_member
    if more or rng.random() < 0.6:
        return json.dumps(rng.choice([{member: shown}, shown]) | more)
    name = "StartSpeakerSearchTask" if member == "SpeakerSearchTask" else "StartVoiceToneAnalysisTask"
    record = {"eventName": name, "awsRegion": "us-east-1", "responseElements": _lower_camel({member: shown})}
    return json.dumps({"detail-type": "AWS API Call via CloudTrail", "source": "aws.chime", "detail": record})


def _lower_camel(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name[:1].lower() + name[1:]: _lower_camel(inner) for name, inner in value.items()}


def message(rng: Random, connector: str, task: str) -> str:
    """A message about a task, in one of the forms that a message may have."""
    if connector in ALL_CLUSTERS:
        return _batch_message(rng, connector, task)
    if task.startswith(TONE):
        return json.dumps({"kind": "voice-tone", "voice_connector_id": connector, "voice_tone_analysis_task_id": task})
    plain: dict[str, Any] = {"voice_connector_id": connector, "speaker_search_task_id": task, "context": {"t": task}}
    if task.startswith(ENDLESS):
        return json.dumps(plain | {"deadline_s": ENDLESS_S})
    pascal = {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}
    return json.dumps(rng.choice([plain, pascal, [pascal], {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", "data": plain}]))


def _batch_message(rng: Random, cluster: str, task: str) -> str:
    arn = batch_ref(cluster, task).params[-1]
    own = {"kind": NAME, "cluster": cluster, "task_arn": arn}
    if task.startswith((STUCK, BROKEN)):
        return json.dumps(own | {"deadline_s": ENDLESS_S})
    return json.dumps(rng.choice([own, own | {"context": {"t": task}}, [own]]))


def with_token(rng: Random, text: str, token: str) -> str:
    """The message of a state that waits for the task, in one of the forms that it may have."""
    value = json.loads(text)
    task = value[0] if isinstance(value, list) else value.get("data", value)
    task[rng.choice(["task_token", "taskToken", "TaskToken"])] = token
    return json.dumps(value)
