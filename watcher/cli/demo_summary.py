"""The summary at the end of the demo."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from rich.console import Console

from watcher.cli.live import ConsoleSink, succeeded
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DEFAULT_TARGET, EventType
from watcher.observe.metrics import Metrics
from watcher.simulator import Simulator

CATALOG = builtin_catalog()
QUOTA = CATALOG.default.quota.name
THROTTLED = "ThrottledClientException"


@dataclass
class GaugeLog:
    """What two gauges showed during the demo: the price of a call, and the pace."""

    metrics: Metrics
    prices_s: list[float] = field(default_factory=list)
    pace: float = 0.0
    """The last pace, in calls per second."""

    def read(self) -> None:
        """Note the present values, once the watcher has set them."""
        price = self.metrics.registry.get_sample_value("watcher_cadence_price_seconds", {"quota": QUOTA})
        if price:
            self.prices_s.append(price)
            labels = {"target": DEFAULT_TARGET, "quota": QUOTA}
            self.pace = self.metrics.registry.get_sample_value("watcher_pace_calls_per_second", labels) or self.pace

    def price_range(self) -> str:
        """The lowest and the highest price."""
        return f"{min(self.prices_s):.1f} to {max(self.prices_s):.1f} s of expected lag" if self.prices_s else "-"


def print_summary(console: Console, sim: Simulator, sink: ConsoleSink, tasks: int, quota: float, gauges: GaugeLog) -> None:
    """Print what happened: ends, calls, lag, price and pace, faults. `quota` is in calls per second."""
    outcomes = sim.stats.outcomes
    ends = [succeeded(body, CATALOG) for body in sink.ends.values()]
    other = [f"{name} {count}" for name, count in sorted(outcomes.items()) if name not in ("ok", THROTTLED)]
    rows = {
        "tasks that ended": f"{len(ends)} of {tasks}: {ends.count(True)} succeeded, {ends.count(False)} failed or stopped",
        "transitions": f"{sum(event['type'] == EventType.TRANSITION for event in sink.events)}",
        "calls for each task": f"{sim.stats.requests / tasks:.1f}",
        "detection lag": _lag(sink),
        "price of a call": gauges.price_range(),
        "pace found": f"{gauges.pace:.1f} calls per second; the quota is {quota:g}",
        "throttled calls": f"{outcomes[THROTTLED]} of {sim.stats.requests}",
        "other injected faults": ", ".join(other) or "none",
    }
    console.print()
    for name, value in rows.items():
        console.print(f"{name:<28}[bold]{value}[/bold]", soft_wrap=True)


def _lag(sink: ConsoleSink) -> str:
    """Mean and 99th percentile, without the first event of each task: its lag depends on when the task was submitted."""
    changes = [event["data"] for event in sink.events if event["data"]["from"] is not None]
    lags = sorted(data["detection_lag_s"] for data in changes if data["detection_lag_s"] is not None)
    if not lags:
        return "-"
    return f"mean {statistics.fmean(lags):.2f} s, p99 {lags[math.ceil(0.99 * len(lags)) - 1]:.2f} s"
