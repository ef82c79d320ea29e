"""The plots of docs/cadence.md: `python -m tests.benchmarks.plots`. Reads the lag table of docs/benchmarks.md: run that benchmark first."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

from tests.benchmarks.distributions import TASK_MODELS, Distribution, after
from tests.benchmarks.lag import ACCRUAL, COLUMNS, RIVALS
from tests.benchmarks.polling_simulation import PollingSimulation
from tests.benchmarks.restart import CASES, ORDERS, SEEDS, simulate
from tests.benchmarks.svg import COLOURS, Chart
from watcher.core.polling import silence
from watcher.core.polling.cadence import STEER_S
from watcher.core.polling.duration_model import DurationModel

DOCS = Path(__file__).parents[2] / "docs"
PRICE_S = 0.3
HINTS_PRICE_S = 1.0
"""The price in the plot of silence: that of the benchmark of notifications."""


def main() -> None:
    """Write all plots."""
    (DOCS / "images").mkdir(exist_ok=True)
    tables = (DOCS / "benchmarks.md").read_text("utf-8")
    charts = {"accrual": accrual(), "polls": polls(), "silence": silent(), "hints": hints(tables), "price": price(), "lag": lag(tables)}
    charts["restart"] = restart()
    for name, chart in charts.items():
        (DOCS / "images" / f"cadence-{name}.svg").write_text(chart.svg(), "utf-8")


def accrual() -> Chart:
    """A(s, t) after polls at three ages, and where each reaches the price."""
    model = _learned(after(10, 4))
    chart = Chart(
        f"Expected lag since the last poll, and a price of {PRICE_S} s: 10 s + exponential 4 s", ("age, s", 0, 20), ("A(s, t), s", 0, 1.2)
    )
    chart.ticks(range(0, 21, 2), (0, 0.3, 0.6, 0.9, 1.2))
    chart.line([(0, PRICE_S), (20, PRICE_S)], COLOURS[4], dashed=True)
    for colour, seen in zip(COLOURS, (0.0, 11.0, 14.0), strict=False):
        ages = [seen + step / 20 for step in range(400)]
        chart.line([(t, a) for t in ages if t <= 20 and (a := model.accrued(seen, t)) <= 1.2], colour)
        due = seen + model.gap(seen, PRICE_S, 0.2, 60)
        chart.dots([(due, PRICE_S)], colour)
        chart.text(0.3, 1.1 - 0.1 * COLOURS.index(colour), f"polled at {seen:g} s, next at {due:.1f} s", colour)
    return chart


def polls() -> Chart:
    """The ages of the polls that the rule plans, under one price, for several distributions."""
    distributions = [model.run for model in TASK_MODELS if model.queue is None]
    chart = Chart(
        f"When a task is polled, as long as it runs: price {PRICE_S} s, 256 durations learned",
        ("age, s", 0, 40),
        ("", 0, len(distributions)),
    )
    chart.ticks(range(0, 41, 5), ())
    for row, distribution in enumerate(reversed(distributions)):
        model, age, ages = _learned(distribution), 0.0, []
        while age < 40 and distribution.cdf(age) < 0.995:
            age += model.gap(age, PRICE_S, 0.2, 60)
            ages.append(age)
        base, colour = row + 0.25, COLOURS[row % 4]
        steps = [step / 4 for step in range(161)]
        densities = [max(0.0, distribution.cdf(t + 0.05) - distribution.cdf(t - 0.05)) for t in steps]
        chart.line([(t, base + 0.5 * d / max(densities)) for t, d in zip(steps, densities, strict=True)], "#afb8c1")
        chart.dots([(t, base) for t in ages if t <= 40], colour, 2.5)
        chart.text(40, base + 0.35, distribution.name, colour, "end")
    return chart


def price() -> Chart:
    """The price while the number of tasks doubles and halves."""
    simulation = PollingSimulation(TASK_MODELS[4], 200, 3, ACCRUAL)
    seen = []
    for second in range(900):
        if second == 300:
            simulation.change_tasks(400)
        elif second == 600:
            simulation.change_tasks(200)
        simulation.run(2 * STEER_S)
        seen.append((second, simulation.cadence.price))
    chart = Chart(
        "The price: 200 tasks, 400 from 300 s to 600 s, 200 again, under one quota",
        ("time, s", 0, 900),
        ("price, s", 0.001, 10),
        log=True,
    )
    chart.ticks(range(0, 901, 100), (0.001, 0.01, 0.1, 1, 10))
    chart.line(seen, COLOURS[0])
    return chart


def lag(document: str) -> Chart:
    """The ratios to the bound at three calls for each task, from the table."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in document.splitlines() if re.match(r"\| .*, 3 \|", line)]
    names, places = ["accrual", *RIVALS], [1 + COLUMNS.index("1,000"), *range(1 + len(COLUMNS), 1 + len(COLUMNS) + len(RIVALS))]
    chart = Chart("Mean lag over the bound: three calls for each task, 1,000 tasks", ("", 0, len(rows)), ("ratio", 0.9, 40), log=True)
    chart.ticks(
        [(i + 0.5, row[0].removesuffix(", 3").replace(", run 10 + exp 4", "").replace("lognormal", "logn.")) for i, row in enumerate(rows)],
        (1, 2, 5, 10, 20),
    )
    for column, (name, place, colour) in enumerate(zip(names, places, COLOURS, strict=True)):
        cells = [row[place] for row in rows]
        chart.dots([(i + 0.3 + 0.1 * column, float(cell.split()[0])) for i, cell in enumerate(cells)], colour)
        chart.text(0.05 + column * len(rows) / 5.2, 27, f"● {name}", colour)
    return chart


def restart() -> Chart:
    """The mean lag of new tasks after a restart with many overdue ones, by the time of their arrival."""
    case, width = CASES[1], 15
    chart = Chart(
        f"Lag of new tasks ({case.arrivals:g}/s) after a restart with {case.overdue:,} overdue ones, at {case.quota:g} calls a second",
        ("arrival after the restart, s", 0, case.window),
        ("mean lag of the end, s", 0.1, 1000),
        log=True,
    )
    chart.ticks(range(0, round(case.window) + 1, 30), (0.1, 1, 10, 100, 1000))
    for colour, order in zip(COLOURS, ORDERS, strict=False):
        bins: dict[int, list[float]] = {}
        for at, lag_s in simulate(case, order, SEEDS).fresh:
            bins.setdefault(int(at / width), []).append(lag_s)
        chart.line([((n + 0.5) * width, sum(lags) / len(lags)) for n, lags in sorted(bins.items())], colour)
        chart.text(case.window - 4, 600 / 1.6 ** ORDERS.index(order), order, colour, "end")
    return chart


def silent() -> Chart:
    """A(s, t) for several shares of announced changes, and where each reaches the price."""
    model = _learned(after(10, 4))
    chart = Chart(
        f"Expected lag since a poll at 12 s in spite of silence, and a price of {HINTS_PRICE_S:g} s: delay 0.3 s",
        ("age, s", 12, 26),
        ("A(12, t), s", 0, 2),
    )
    chart.ticks(range(12, 27, 2), (0, 0.5, 1, 1.5, 2))
    chart.line([(12, HINTS_PRICE_S), (26, HINTS_PRICE_S)], COLOURS[4], dashed=True)
    for row, (colour, share) in enumerate(zip(COLOURS, (0.0, 0.8, 0.95, 0.99), strict=False)):
        trust = silence.Trust.of(share, 0.3)
        ages = [12 + step / 20 for step in range(281)]
        chart.line([(t, a) for t in ages if (a := silence.accrued(model, 12, t, trust)) <= 2], colour)
        due = 12 + silence.gap(model, 12, HINTS_PRICE_S, 0.2, 60, trust)
        chart.dots([(due, HINTS_PRICE_S)], colour)
        chart.text(22, 0.5 - 0.12 * row, f"p = {share:g}: next at {due:.1f} s", colour)
    return chart


def hints(document: str) -> Chart:
    """Calls and lag with notifications, and the lag of as many calls without them, from the table."""
    rows = [re.split(r" *\| *", line.strip("| ")) for line in document.splitlines() if re.match(r"\| \d+%, [\d.]+ s \|", line)]
    chart = Chart("Calls of a task without the first look, and lag of its end", ("calls", 1, 2), ("mean lag, s", 0, 9))
    chart.ticks([1, 1.2, 1.4, 1.6, 1.8, 2], range(0, 10, 3))
    calls = [float(row[1]) for row in rows]
    blind = sorted((x, float(row[3].split()[0])) for x, row in zip(calls, rows, strict=True))
    chart.line(blind, COLOURS[4], dashed=True)
    chart.text(blind[0][0] + 0.02, blind[0][1], "without notifications, under other prices", COLOURS[4])
    for x, row in zip(calls, rows, strict=True):
        lag_s = float(row[2].split()[0])
        chart.dots([(x, lag_s)], COLOURS[0])
        chart.text(x + 0.015, lag_s - 0.55 if row is rows[-1] else lag_s + 0.15, row[0], COLOURS[0])
    return chart


def _learned(distribution: Distribution) -> DurationModel:
    rng = Random(1)
    return DurationModel(distribution.draw(rng) for _ in range(256))


if __name__ == "__main__":
    main()
