"""The watcher of a configuration: adapters from the registry, the loops over them, and HTTP beside them.

`async with build(settings) as app: await app.run()`. No signals and no arguments: the command line handles those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.errors import ConfigMistakes, Unavailable
from watcher.kinds.catalog import Catalog
from watcher.model import Scope
from watcher.observe.loop_lag import Heartbeat, measure_loop_lag
from watcher.observe.metrics import Metrics
from watcher.observe.tracing import NO_TRACER, Tracer
from watcher.ports import Sink
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.health import Condition
from watcher.runtime.service import Adapters, Loop
from watcher.runtime.settings import Determinism, ServiceSettings

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients
    from watcher.api.assembly import HttpApi
    from watcher.config import Settings

ALIVE_S = 60.0
"""An event loop that has not run for this long, in seconds, makes /healthz return 503."""


def build(
    settings: Settings,
    *,
    sinks: Sequence[Sink] = (),
    drop_sinks: Collection[str] = (),
    clock: Callable[[], float] = time.time,
    tracer: Tracer = NO_TRACER,
) -> App:
    """An app as configured. Opens nothing. `sinks` receive the events in addition to the configured ones.

    `drop_sinks` are the names of sinks that are no longer configured, and whose events are erased.
    """
    from watcher.adapters.aws.probe import AwsProbe
    from watcher.adapters.aws.session import AwsClients
    from watcher.adapters.aws.targets import target_clients
    from watcher.api.source import ApiSource
    from watcher.config import catalog_of
    from watcher.registry import SINKS, SOURCES, STORES, AdapterContext

    catalog, limits = catalog_of(settings), settings.limits
    aws = AwsClients(
        max_connections=limits.max_in_flight,
        call_deadline=limits.call_deadline,
        clock=clock,
        catalog=catalog,
    )
    context = AdapterContext(aws, clock)
    adapters = Adapters(
        sources=[SOURCES[s.type].build(s, context) for s in settings.sources] or [ApiSource()],
        probe=AwsProbe(aws, catalog, targets=target_clients(settings.targets, aws), call_deadline=limits.call_deadline, clock=clock),
        store=STORES[settings.store.type].build(settings.store, context),
        sinks=[*(SINKS[s.type].build(s, context) for s in settings.sinks), *sinks],
    )
    return App(settings, catalog, adapters, aws, clock, frozenset(drop_sinks), tracer)


class App:
    """The object behind `watcher run`. Entering it opens everything; leaving it closes everything, in the opposite order."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        adapters: Adapters,
        aws: AwsClients,
        clock: Callable[[], float],
        drop_sinks: frozenset[str] = frozenset(),
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self.settings = settings
        self.adapters = adapters
        self.metrics = Metrics(catalog)
        self.heartbeat = Heartbeat()
        self._aws = aws
        service = ServiceSettings(
            settings.watch,
            settings.pace,
            settings.cadence,
            settings.events,
            settings.limits,
            aws.region_required(),
            catalog,
            drop_sinks,
            {target.name: Scope(target.region, target.account) for target in settings.targets},
        )
        beside: list[Loop] = [self._measure, self._serve]
        times = Determinism(clock=Clock(clock))
        self.watcher = assemble(adapters, service, determinism=times, metrics=self.metrics, beside=beside, tracer=tracer)
        self.http: HttpApi | None = self._http_api(service, clock) if settings.api.listen else None

    async def __aenter__(self) -> App:
        """Open the store before the port: a second owner is the more useful error to report."""
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
        """Run until all work is done (finite sources), or until `stop`."""
        await self.watcher.run()

    def stop(self) -> None:
        """Drain and return from `run`, within the stop deadline."""
        self.watcher.stop()

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop runs. Depends on nothing else."""
        age = self.heartbeat.age()
        return age < ALIVE_S, {"loop_turned_s_ago": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        """Whether all components work, and the condition of each one."""
        return self.watcher.health.ready()

    def _http_api(self, service: ServiceSettings, clock: Callable[[], float]) -> HttpApi:
        """The HTTP API over the running watcher. Raises ConfigMistakes for a token file that cannot be used."""
        from watcher.api.access import TokenFileError
        from watcher.api.assembly import assemble_api

        try:
            return assemble_api(self.settings.api, self, self.watcher, self.adapters.store, service, clock, self.settings.kinds)
        except TokenFileError as error:
            raise ConfigMistakes([f"api.tokens: {error}"]) from None

    async def _serve(self) -> None:
        if self.http is not None:
            await self.http.serve()

    async def _measure(self) -> None:
        await measure_loop_lag(self.metrics, heartbeat=self.heartbeat)

    async def _listen(self) -> None:
        """Raises ConfigMistakes when the address cannot be used: only the operator can choose another one."""
        if self.http is None:
            return
        try:
            await self.http.open()
        except Unavailable as error:
            hint = "choose a free address, or stop the process that uses it"
            raise ConfigMistakes([f"api.listen: {error.detail} ({error.code}): {hint}"]) from None

    async def _close(self) -> None:
        if self.http is not None:
            await self.http.close()
        await self._aws.close()
