"""The summary at the end of the demo."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from watcher.cli.demo_comparison import EVERY_S, FixedLoop, LagSummary, Observed, compare
from watcher.cli.live import ConsoleSink, succeeded
from watcher.cli.tables import counted
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DEFAULT_TARGET, EventType
from watcher.observe.metrics import Metrics
from watcher.simulator import Simulator
from watcher.simulator.simulated_task import Truth

CATALOG = builtin_catalog()
QUOTA = CATALOG.default.quota.name
THROTTLED = "ThrottledClientException"
NAME_WIDTH = 26
"""Characters of the first column of the summary."""


@dataclass
class GaugeLog:
    """What two gauges showed during the demo: the price of a call, and the pace."""

    metrics: Metrics
    prices_s: list[float] = field(default_factory=list)
    pace: float = 0.0
    """The last pace, in calls per second."""

    def read(self) -> None:
        """Note the present values, once the watcher has set them."""
        price = self.metrics.registry.get_sample_value("watcher_cadence_price_seconds", {"target": DEFAULT_TARGET, "quota": QUOTA})
        if price:
            self.prices_s.append(price)
            labels = {"target": DEFAULT_TARGET, "quota": QUOTA}
            self.pace = self.metrics.registry.get_sample_value("watcher_pace_calls_per_second", labels) or self.pace

    def price_range(self) -> str:
        """The lowest and the highest price."""
        return f"{min(self.prices_s):.1f} to {max(self.prices_s):.1f} s of expected lag" if self.prices_s else "-"


def print_summary(console: Console, sim: Simulator, sink: ConsoleSink, tasks: int, quota: float, gauges: GaugeLog) -> None:
    """Print what happened: ends, calls, price and pace, faults. `quota` is in calls per second."""
    outcomes = sim.stats.outcomes
    ends = [succeeded(body, CATALOG) for body in sink.ends.values()]
    other = [f"{name} {count}" for name, count in sorted(outcomes.items()) if name not in ("ok", THROTTLED)]
    rows = {
        "tasks that ended": f"{len(ends)} of {tasks}: {ends.count(True)} succeeded, {ends.count(False)} failed or stopped",
        "transitions": f"{sum(event['type'] == EventType.TRANSITION for event in sink.events)}",
        "calls for each task": f"{sim.stats.requests / tasks:.1f}",
        "first looks saved": f"{first_looks_saved(sink.events)} of {tasks}: each would have shown {CATALOG.default.first_status}",
        "price of a call": gauges.price_range(),
        "pace": pace(gauges.pace, quota, outcomes[THROTTLED]),
        "throttled calls": f"{outcomes[THROTTLED]} of {sim.stats.requests}",
        "other injected faults": ", ".join(other) or "none",
    }
    console.print()
    shown = Table.grid(padding=(0, 2))
    shown.add_column(width=NAME_WIDTH)
    shown.add_column(style="bold")
    for name, value in rows.items():
        shown.add_row(name, value)
    console.print(shown)


def first_looks_saved(events: Iterable[Mapping[str, Any]]) -> int:
    """The number of tasks whose first observation was a later status than the first one, or came with the message."""
    first = [event["data"] for event in events if event["type"] == EventType.TRANSITION and event["data"]["from"] is None]
    return sum(data["to"] != CATALOG.default.first_status or data["observed_from"] == "submission" for data in first)


def pace(rate: float, quota: float, throttled: int) -> str:
    """What the pace was in the end, and whether it found the quota: only a throttled call shows where the quota is."""
    if throttled:
        return f"{rate:.1f} calls per second found; the quota is {quota:g}"
    return f"not limited: no call was throttled; the quota is {quota:g} per second"


def print_comparison(console: Console, sim: Simulator, sink: ConsoleSink, loop: FixedLoop, quota: float) -> None:
    """Print how late the watcher and the loop detected the changes of the same tasks. `quota` is in calls per second."""
    end = time.time()
    ours, theirs = compare(_histories(sim, sink), end), loop.lags(end)
    tasks = max(1, len(sim.tasks))
    shown = Table.grid(padding=(0, 2))
    shown.add_column(width=NAME_WIDTH)
    for _ in range(3):
        shown.add_column(justify="right")
    shown.add_row("", "on average", "99 of 100 within", "calls for each task")
    for name, late, calls in (
        ("this watcher", ours, sim.stats.requests),
        (f"a loop, every {EVERY_S:g} s", theirs, loop.service.stats.requests),
    ):
        shown.add_row(name, *(Text(cell, style="bold") for cell in _cells(late, calls / tasks)))
    console.print("\nHow late a change of status was detected (the lag), measured in this run:")
    console.print(shown)
    console.print(
        f"The loop polled each task every {EVERY_S:g} s. It ran beside the watcher, against a second simulated service "
        f"with the same {counted(tasks, 'task')} and the same faults, and had its own quota of {quota:g} calls per second. "
        "It knew this quota from the start; the watcher had to find it."
    )
    for name, late in (("the watcher", ours), ("the loop", theirs)):
        if late.missed_s:
            console.print(
                f"{counted(len(late.missed_s), 'change')} had not been detected by {name} at the end; they count as detected then."
            )


def _cells(late: LagSummary, calls: float) -> tuple[str, str, str]:
    return f"{late.mean():.2f} s", f"{late.percentile_99():.1f} s", f"{calls:.1f}"


def _histories(sim: Simulator, sink: ConsoleSink) -> Iterator[tuple[Truth, Observed]]:
    """What happened to each task, and what the watcher saw of it."""
    seen: dict[str, list[tuple[str, float]]] = {ref.key: [] for ref in sim.tasks.refs()}
    for event in sink.events:
        if event["type"] != EventType.ENDED and event["subject"] in seen:
            data = event["data"]
            seen[event["subject"]].append((data["to"], datetime.fromisoformat(data["observed_at"]).timestamp()))
    for ref in sim.tasks.refs():
        yield sim.truth(ref), seen[ref.key]
