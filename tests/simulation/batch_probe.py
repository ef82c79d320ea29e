"""The probe of a story with tasks of a batch kind: the real probe and the real reading of replies, over a service in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import anyio
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from tests.simulation.batch_kind import NAME, catalog
from tests.simulation.peers import RecordingProbe
from tests.simulation.single_failures import SingleFailures
from tests.simulation.story import Story
from watcher.adapters.aws.errors import remote_error
from watcher.adapters.aws.polled_call import NotFoundRules, PolledCall
from watcher.adapters.aws.probe import AwsProbe
from watcher.errors import BatchFailed, RemoteError, Unavailable
from watcher.model import Observation, TaskRef
from watcher.simulator.declared import DeclaredService
from watcher.simulator.declared.http_api import DeclaredApi
from watcher.simulator.declared.models import Operation
from watcher.simulator.declared.service import Call
from watcher.simulator.service import VoiceService
from watcher.simulator.wire import HttpReply

DEADLINE_S = 15.0
"""Of one call."""


class AwsInProcess:
    """What `AwsProbe` uses of `AwsClients`: calls to the simulated service, whose replies the SDK reads."""

    def __init__(self, service: DeclaredService, single: SingleFailures) -> None:
        self._service = service
        self._api = DeclaredApi(service)
        self._single = single

    async def call(self, service: str, operation: str, params: Mapping[str, Any], *, deadline: float, not_found: NotFoundRules) -> Any:
        """Make one call. Raises only `RemoteError`."""
        route = self._service.kinds.routes_of(NAME)[0]
        call = Call(route, tuple((params["cluster"], task) for task in params["tasks"]))
        with anyio.move_on_after(deadline):
            async with self._api.handle(call) as answer:
                if answer.fault == "hang":
                    await anyio.sleep_forever()
                if answer.fault == "reset":
                    raise Unavailable("ConnectionClosedError")
                try:
                    reply = _parsed(route.operation, answer.response)
                except Exception as error:  # noqa: BLE001 - an unreadable reply raises anything from inside the SDK
                    raise remote_error(error, status=answer.response.status, polled=PolledCall(not_found, "json")) from None
                return reply if answer.fault else self._single.spoil(reply, len(call.params))
        raise Unavailable("timeout")


def _parsed(operation: Operation, reply: HttpReply) -> dict[str, Any]:
    """What the SDK returns for a reply. Raises what it raises."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    response = {"status_code": reply.status, "headers": headers, "body": reply.body}
    parsed: dict[str, Any] = create_parser(operation.api.protocol).parse(response, operation.output_shape)
    if reply.status < 300:
        return parsed
    code = parsed.get("Error", {}).get("Code", "")
    is_own = code in {shape.error_code for shape in operation.api.errors}
    raise (type(code, (ClientError,), {}) if is_own else ClientError)(parsed, operation.name)


class BatchProbe(RecordingProbe):
    """Also answers calls about tasks of ECS, and records what no such call may be."""

    def __init__(self, story: Story, service: VoiceService, wall: Callable[[], float]) -> None:
        declared = DeclaredService(lambda: [catalog(story.batch_size)[NAME]], service)
        super().__init__(service, wall, declared)
        self.size = story.batch_size
        self.single = SingleFailures(Random(story.seed + 4), story.single_failures)
        self.polled: dict[str, float] = {}
        """By key, the time of the first call about a task."""
        self._aws = AwsProbe(
            AwsInProcess(declared, self.single),  # type: ignore[arg-type]  # it has what the probe uses
            catalog(story.batch_size),
            call_deadline=DEADLINE_S,
            clock=wall,
        )
        self._in_flight: set[str] = set()

    def begin(self) -> None:
        super().begin()
        self._in_flight = set()

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        if refs[0].kind != NAME:
            return await super().observe(refs)
        self._check(refs)
        keys, in_flight = {ref.key for ref in refs}, self._in_flight
        in_flight |= keys
        try:
            outcomes = await self.recorded(NAME, lambda: self._aws.observe(refs))
        except BatchFailed:
            self.seen["batch failed"] += 1
            raise
        finally:
            in_flight -= keys
        self.seen["riders"] += len(refs) - 1
        self.seen["single failure"] += 0 < sum(isinstance(outcome, RemoteError) for outcome in outcomes) < len(refs)
        return outcomes

    def _check(self, refs: Sequence[TaskRef]) -> None:
        now, keys = anyio.current_time(), [ref.key for ref in refs]
        for key in keys:
            self.polled.setdefault(key, now)
        if len({(ref.kind, ref.target, ref.params[:-1]) for ref in refs}) > 1:
            self.broken.append(f"a call about tasks of several groups, {keys}, at {now:.3f}")
        if len(refs) > self.size:
            self.broken.append(f"a call about {len(refs)} tasks, more than {self.size}, at {now:.3f}")
        if len(set(keys)) < len(keys) or self._in_flight.intersection(keys):
            self.broken.append(f"two calls of one process about one of {keys} at once, at {now:.3f}")
