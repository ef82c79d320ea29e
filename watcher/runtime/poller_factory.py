"""Makes the poller of a quota of a target when it is needed first, with all that the calls under it share."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from watcher.core.polling.cadence import Cadence
from watcher.core.polling.circuit import CircuitChange
from watcher.core.polling.circuits import NAMES, Circuits
from watcher.core.polling.pace import Pace
from watcher.core.polling.target_quota import TargetQuota
from watcher.model import TaskRef
from watcher.ports import Probe
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.outlet import Outlet
from watcher.runtime.poll_policy import PollPolicy
from watcher.runtime.polling import Poller
from watcher.runtime.settings import Determinism, ServiceSettings

log = structlog.get_logger("watcher.polling")

STAYS = "its watches stay in the store, and are polled when it is known again"


class PollerFactory:
    """Makes the pollers of one watcher. All of them share the circuits."""

    def __init__(
        self, settings: ServiceSettings, probe: Probe, leases: Leases, outlet: Outlet, instruments: Instruments, determinism: Determinism
    ) -> None:
        self.catalog = settings.catalog
        self.targets = frozenset(settings.scopes)
        """The targets whose tasks can be polled."""
        self._settings = settings
        self._probe = probe
        self._leases = leases
        self._outlet = outlet
        self._instruments = instruments
        self._rng = determinism.rng
        self._circuits = Circuits()
        self._unknown: set[str] = set()
        """Kinds and targets that watches name, and that are not known."""

    @property
    def from_start(self) -> Sequence[TargetQuota]:
        """The quotas whose pollers exist before their first watch."""
        return [TargetQuota(quota) for quota in self.catalog.default_quotas]

    def quota_of(self, ref: TaskRef) -> TargetQuota | None:
        """The quota that calls about this task count against. None where its kind or its target is not known, which is logged."""
        kind = self.catalog.get(ref.kind)
        if kind is None and self._first_of(ref.kind):
            log.warning("unknown_kind", kind=ref.kind, hint=f"another version or another configuration had it; {STAYS}")
        elif kind is not None and ref.target in self.targets:
            return TargetQuota(kind.quota, ref.target)
        elif kind is not None and self._first_of(ref.target):
            log.warning("unknown_target", target=ref.target, hint=f"another configuration had it: add it to targets; {STAYS}")
        return None

    def _first_of(self, name: str) -> bool:
        """Whether this is the first watch with this unknown name: there may be thousands, and the log names it at the first one."""
        new = name not in self._unknown
        self._unknown.add(name)
        return new

    def make(self, of: TargetQuota) -> Poller:
        """A poller that has learned nothing. Its pace counts from now on."""
        settings = self._settings
        kinds = [kind for kind in self.catalog if kind.quota == of.quota]
        service = kinds[0].service  # the same for all of them
        expect_calls(of, service, self._instruments)
        policy = PollPolicy(
            watch=settings.watch,
            cadence=Cadence(settings.cadence, kinds, granted=settings.pace.rate is not None),
            pace=Pace(settings.pace),
            circuits=self._circuits.of(of.target, service),
            max_in_flight=settings.limits.max_in_flight,
            rng=self._rng,
        )
        return Poller(of, self.catalog, self._probe, policy, self._leases, self._outlet, self._instruments)


def expect_calls(of: TargetQuota, service: str, instruments: Instruments) -> None:
    """List the quota and the circuits of the calls to a service of a target, and their counters, before the first of these calls."""
    health, metrics = instruments.health, instruments.metrics
    metrics.add_quota(of.target, of.quota.name)
    health.expect(of.component, "ok")
    for name in NAMES:
        circuit = CircuitChange(name, of.target, None if name == "credentials" else service, opened=False, code="")
        health.expect(circuit.component, "closed")
        opened = not health.is_good(circuit.component)  # by the calls under another quota of the service
        metrics.show_circuit(circuit.name, circuit.target, circuit.service, opened)
