"""A configured watcher: adapters out of the registry, the loops round them, HTTP beside them.

`async with build(settings) as app: await app.run()`. No signals, no arguments: the command line has those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.api.server import HttpServer
from watcher.config import Settings
from watcher.errors import ConfigMistakes, Unavailable
from watcher.kinds import QUOTAS
from watcher.observe.loop_lag import Heartbeat, measure_loop_lag
from watcher.observe.metrics import Metrics
from watcher.ports import Sink
from watcher.registry import SINKS, SOURCES, STORES, AdapterContext
from watcher.runtime.clock import Clock
from watcher.runtime.health import Condition
from watcher.runtime.service import Adapters, ServiceSettings, Watcher

ALIVE_S = 60.0
"""A loop that has not turned for this long, in seconds, is dead to /healthz."""


def build(settings: Settings, *, sinks: Sequence[Sink] = (), clock: Callable[[], float] = time.time) -> App:
    """Everything as configured, nothing opened. `sinks` are told beside the configured ones."""
    limits = settings.limits
    connections = limits.max_in_flight * len(QUOTAS)
    aws = AwsClients(max_connections=connections, call_deadline=limits.call_deadline, clock=clock)
    context = AdapterContext(aws, clock)
    parts = Adapters(
        sources=[SOURCES[s.type].build(s, context) for s in settings.sources],
        probe=AwsProbe(aws, call_deadline=limits.call_deadline, clock=clock),
        store=STORES[settings.store.type].build(settings.store, context),
        sinks=[*(SINKS[s.type].build(s, context) for s in settings.sinks), *sinks],
    )
    return App(settings, parts, aws, clock)


class App:
    """The object behind `watcher run`. Enter it to open everything; leaving it closes everything, in the opposite order."""

    def __init__(self, settings: Settings, parts: Adapters, aws: AwsClients, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.parts = parts
        self.metrics = Metrics()
        self.heartbeat = Heartbeat()
        self.http = HttpServer(settings.api, self, self.metrics) if settings.api.listen else None
        self._aws = aws
        beside: list[Any] = [self._measure] if self.http is None else [self._measure, self.http.serve]
        plan = ServiceSettings(settings.watch, settings.pace, settings.cadence, settings.events, settings.limits, aws.region_required())
        self.watcher = Watcher(parts, plan, clock=Clock(clock), metrics=self.metrics, beside=beside)

    async def __aenter__(self) -> App:
        """The store first: who owns it is worth more to know than who has the port."""
        try:
            await self.watcher.__aenter__()
            await self._listen()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.watcher.__aexit__(*error)
        await self._close()

    async def run(self) -> None:
        """Until everything is done (finite sources), or `stop`."""
        await self.watcher.run()

    def stop(self) -> None:
        """Drain and return from `run`, within the stop deadline."""
        self.watcher.stop()

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop turns. Depends on nothing else."""
        age = self.heartbeat.age()
        return age < ALIVE_S, {"loop_turned_s_ago": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        """Whether all components are well, and each one's condition."""
        return self.watcher.health.ready()

    async def _measure(self) -> None:
        await measure_loop_lag(self.metrics, heartbeat=self.heartbeat)

    async def _listen(self) -> None:
        """Raises ConfigMistakes where that cannot be done: another address is for somebody to choose."""
        if self.http is None:
            return
        try:
            await self.http.open()
        except Unavailable as error:
            raise ConfigMistakes(
                [f"api.listen: {error.detail} ({error.code}), choose an address that is free, or end what has it"]
            ) from None

    async def _close(self) -> None:
        if self.http is not None:
            await self.http.close()
        await self._aws.close()
