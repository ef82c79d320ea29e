"""Names every component of one watcher before it does anything, so that /readyz and a scrape are complete from the start.

A component that appeared with its first trouble could not be told from one that does not exist, and an alert would miss
what a counter counted before its first scrape.
"""

from __future__ import annotations

from collections.abc import Iterable

from watcher.runtime.instruments import Instruments
from watcher.runtime.polling import Poller
from watcher.runtime.service import Adapters


def expect_components(adapters: Adapters, pollers: Iterable[Poller], instruments: Instruments) -> None:
    """List each component as working, each circuit as it is, and each counter whose labels are known as 0."""
    health, metrics = instruments.health, instruments.metrics
    sources, sinks = [source.name for source in adapters.sources], [sink.name for sink in adapters.sinks]
    metrics.start_at_zero(sources, sinks)
    for component in ("store", *(f"source:{name}" for name in sources), *(f"sink:{name}" for name in sinks)):
        health.expect(component)
    for poller in pollers:
        health.expect(f"quota:{poller.quota.name}", "ok")
        for circuit in poller.policy.circuits.states():
            health.expect(circuit.component, "closed")
            metrics.show_circuit(circuit.name, circuit.target, circuit.service, circuit.opened)
