"""Names every component of one watcher before it does anything, so that /readyz and a scrape are complete from the start.

A component that appears only when it fails first would look like one that does not exist, and an alert would miss what a
counter counted before its first scrape.
"""

from __future__ import annotations

from itertools import product

from watcher.core.polling.circuit import CircuitChange
from watcher.core.polling.circuits import NAMES
from watcher.kinds.catalog import Catalog
from watcher.model import DEFAULT_TARGET
from watcher.runtime.instruments import Instruments
from watcher.runtime.ownership_report import LEASES
from watcher.runtime.service import Adapters


def expect_components(adapters: Adapters, catalog: Catalog, instruments: Instruments) -> None:
    """List each component as working, each circuit as closed, and each counter whose labels are known as 0."""
    health, metrics = instruments.health, instruments.metrics
    sources, sinks = [source.name for source in adapters.sources], [sink.name for sink in adapters.sinks]
    metrics.start_at_zero(sources, sinks)
    for component in ("store", *(f"source:{name}" for name in sources), *(f"sink:{name}" for name in sinks)):
        health.expect(component)
    if adapters.store.renew_s is not None:
        health.expect(LEASES)
    for quota in catalog.quotas:
        health.expect(f"quota:{quota}", "ok")
    for name, service in product(NAMES, sorted(catalog.services)):
        circuit = CircuitChange(name, DEFAULT_TARGET, None if name == "credentials" else service, opened=False, code="")
        health.expect(circuit.component, "closed")
        metrics.show_circuit(circuit.name, circuit.target, circuit.service, circuit.opened)
