"""Names every component of one watcher before it does anything, so that /readyz and a scrape are complete from the start.

What belongs to a quota is named when its poller is made (`poller_factory.py`): at the start, or before the first call under it.

A component that appears only when it fails first would look like one that does not exist, and an alert would miss what a
counter counted before its first scrape.
"""

from __future__ import annotations

from watcher.runtime.instruments import Instruments
from watcher.runtime.ownership_report import LEASES
from watcher.runtime.service import Adapters


def expect_components(adapters: Adapters, instruments: Instruments) -> None:
    """List each component as working, and each counter whose labels are known as 0."""
    health, metrics = instruments.health, instruments.metrics
    sources, sinks = [source.name for source in adapters.sources], [sink.name for sink in adapters.sinks]
    metrics.start_at_zero(sources, sinks)
    for component in ("store", *(f"source:{name}" for name in sources), *(f"sink:{name}" for name in sinks)):
        health.expect(component)
    if adapters.store.renew_s is not None:
        health.expect(LEASES)
