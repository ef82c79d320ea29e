"""The alerts of config/deploy, evaluated by promtool over the metrics of a running watcher.

Alerts need minutes, but the test is faster. It takes two scrapes with a short time between them. A period of a timeline continues the
change between them for as many minutes as an alert needs: counters grow at the measured rate, and all other values stay.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.observe.test_alerts import ALERTS, promtool

BUSY = {"WatcherStoreSlow", "WatcherLoopBlocked", "WatcherDetectionSlow", "WatcherBehind"}
"""The alerts that a busy machine can raise. They are not part of any story."""
STALE = "stale"

_NAMES = frozenset(re.findall(r"\bwatcher_\w+", ALERTS.read_text()))
_COUNTED = ("_total", "_bucket", "_count", "_sum")


@dataclass(frozen=True)
class Scrape:
    """What each watcher showed on /metrics, by its name, and when, in monotonic seconds."""

    at: float
    pages: Mapping[str, str]

    def values(self) -> dict[str, float]:
        """The values of the series that alerts use, by their names with labels, as Prometheus stores them."""
        found = {}
        for instance, page in self.pages.items():
            for line in page.splitlines():
                series, _, value = line.rpartition(" ")
                name, _, labels = series.partition("{")
                if name in _NAMES:
                    own = f'job="watcher",instance="{instance}"'
                    found[f"{name}{{{own}{',' if labels else '}'}{labels}"] = float(value)
        return found


@dataclass
class Timeline:
    """Periods one after the other, each with the alerts that must fire at its end."""

    _minutes: int = 0
    _series: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _ends: dict[str, tuple[float, float]] = field(default_factory=dict)
    """For each series that the last period has: its value there, and at the scrape that the period was made of."""
    _tests: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, first: Scrape, last: Scrape, minutes: int, fires: Iterable[str], *, may: Collection[str] = (), aging: str = "") -> None:
        """Add a period. `fires`: the alerts that fire in its last minute, and no other ones but those that `may`.

        `aging` is a gauge that grows by a second each second, since nothing is done about what it measures.
        """
        before, after, seconds = first.values(), last.values(), last.at - first.at
        ends = {}
        for series in before.keys() & after.keys():
            start = self._start(series, before[series])
            counted = max(0.0, after[series] - before[series]) * 60 / seconds if _is_counter(series) else 0.0
            growth = 60.0 if series.partition("{")[0] == aging else counted
            self._fill(series, f"{start:.6f}+{growth:.6f}x{minutes - 1}")
            ends[series] = (start + growth * (minutes - 1), after[series])
        for series in self._ends.keys() - ends.keys():
            self._fill(series, f"{STALE} _x{minutes - 1}")
        self._ends = ends
        self._minutes += minutes
        self._expect(sorted(fires), [*BUSY, *may])

    def check(self, directory: Path) -> None:
        """Let promtool evaluate the alerts over all periods."""
        series = [{"series": name, "values": " ".join(values)} for name, values in self._series.items()]
        promtool(directory, {"interval": "1m", "input_series": series, "promql_expr_test": self._tests})

    def _start(self, series: str, value: float) -> float:
        """A counter goes on from where the last period ended, by as much as it really grew since then: it never falls."""
        if _is_counter(series) and series in self._ends:
            reached, scraped = self._ends[series]
            return reached + (value - scraped if value >= scraped else value)
        return value

    def _fill(self, series: str, values: str) -> None:
        if not self._series[series] and self._minutes:
            self._series[series].append(f"_x{self._minutes}")
        elif series not in self._ends and self._minutes > (covered := _covered(self._series[series])):
            self._series[series].append(f"_x{self._minutes - covered}")
        self._series[series].append(values)

    def _expect(self, fires: Iterable[str], ignored: Iterable[str]) -> None:
        firing = f'group by (alertname) (ALERTS{{alertstate="firing",alertname!~"{"|".join(sorted(ignored))}"}})'
        samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in fires]
        self._tests.append({"expr": firing, "eval_time": f"{self._minutes - 1}m", "exp_samples": samples})


def _is_counter(series: str) -> bool:
    return series.partition("{")[0].endswith(_COUNTED)


def _covered(values: Iterable[str]) -> int:
    """How many minutes these values are for."""
    minutes = 0
    for value in " ".join(values).split(" "):
        head, _, count = value.rpartition("x")
        minutes += 1 if not head else int(count) + (head != "_")
    return minutes
