"""Whole processes over HTTP against a simulated service with a quota: the watcher, and a loop that polls each task every five seconds."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import anyio

from tests.benchmarks.process_clients import Client, Way
from tests.benchmarks.svg import COLOURS, Chart
from tests.benchmarks.table import Table, command
from tests.e2e.scene import CONNECTOR
from watcher.cli.demo_comparison import LagSummary, compare
from watcher.simulator import Scenario, VoiceService, serve
from watcher.simulator.distributions import parse_durations
from watcher.simulator.faults import THROTTLED
from watcher.simulator.simulated_kinds import SPEAKER_SEARCH

QUOTA = 12.0
SCENARIO = Scenario(quota=QUOTA, durations=parse_durations("queue=exponential(1),run=uniform(6,22)"), partial=0.2, known_only=True)
PATIENCE_S = 90.0
"""How long after the last task was submitted the processes may take to see the last end."""
IMAGE = Path(__file__).parents[2] / "docs" / "images" / "process-lag.svg"

LEGACY = Way("loop, retry mode legacy", retry_mode="legacy")
COLD = Way("watcher")
WAYS = (
    LEGACY,
    Way("loop, retry mode standard", retry_mode="standard"),
    COLD,
    Way("watcher", sends_status=True),
    Way(f"watcher, `pace.rate: {QUOTA:g}`", rate=QUOTA),
    Way(f"watcher, `pace.rate: {QUOTA:g}`", rate=QUOTA, sends_status=True),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured: `sets` of `tasks` each, which arrive over `seconds`."""

    sets: int
    tasks: int
    seconds: float

    def arrivals(self, number: int) -> list[float]:
        """The seconds at which the tasks of one set arrive, each at a random time."""
        rng = Random(number)
        return sorted(rng.uniform(0, self.seconds) for _ in range(self.tasks))


@dataclass(slots=True)
class Result:
    """What one way did: its calls, and how late it detected what."""

    way: Way
    learned: bool
    tasks: int = 0
    calls: int = 0
    throttled: int = 0
    lags: LagSummary = field(default_factory=LagSummary)
    ends: LagSummary = field(default_factory=LagSummary)

    def add(self, client: Client, end: float) -> None:
        """Add a run that ended at `end`, in wall seconds."""
        stats, refs, seen = client.sim.stats, client.sim.tasks.refs(), client.seen()
        self.tasks += len(refs)
        self.calls += stats.requests
        self.throttled += stats.outcomes[THROTTLED.code]
        histories = [(client.sim.truth(ref), seen[ref.params[1]]) for ref in refs]
        ends = [((truth[0], truth[-1]), observed) for truth, observed in histories]
        for summary, found in ((self.lags, histories), (self.ends, ends)):
            lags = compare(found, end)
            summary.detected_s += lags.detected_s
            summary.missed_s += lags.missed_s

    @property
    def name(self) -> str:
        """As in the table."""
        return self.way.name if self.way.retry_mode else f"{self.way.name}, {'learned' if self.learned else 'cold'}"

    def row(self, loop: Result) -> tuple[str, ...]:
        """The row of the table, compared with the loop."""
        return (
            self.name,
            "status" if self.way.sends_status else "id",
            f"{self.calls / self.tasks:.1f}",
            f"{self.throttled / self.calls:.1%}",
            f"{self.lags.mean():.2f} s",
            f"{self.ends.mean():.2f} s",
            f"{self.lags.percentile_99():.1f} s",
            f"{loop.lags.mean() / self.lags.mean():.1f}",
        )


def run(quick: bool) -> Table:
    """Measure all ways, and draw how their lags are distributed."""
    plan = Plan(1, 40, 10.0) if quick else Plan(2, 300, 75.0)
    results = anyio.run(measure, plan, WAYS, SCENARIO)
    if not quick:
        IMAGE.write_text(chart(results).svg(), "utf-8")
    loop = next(result for result in results if result.way == LEGACY)
    return Table("Whole processes: the watcher and a loop", command("process"), _note(plan), HEADER, [each.row(loop) for each in results])


async def measure(plan: Plan, ways: Sequence[Way], scenario: Scenario) -> list[Result]:
    """Run each way on each set of tasks: with an empty store, and, if it learns, with the store that it left after the other set.

    Round n has set n, and what was learned in round n - 1. The last round has only the latter, on the first set.
    """
    results = {(way, learned): Result(way, learned) for learned in (False, True) for way in ways if not (learned and way.retry_mode)}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(plan.sets + (plan.sets > 1)):
            jobs = {}
            for at, way in enumerate(ways):
                if number < plan.sets:
                    jobs[way, False] = Path(folder, f"{number}-{at}")
                if number > 0 and not way.retry_mode:
                    jobs[way, True] = Path(folder, f"{number - 1}-{at}")
            await _round(number % plan.sets, plan, scenario, [(results[key], store) for key, store in jobs.items()])
    return [result for result in results.values() if result.tasks]


async def _round(number: int, plan: Plan, scenario: Scenario, jobs: Iterable[tuple[Result, Path]]) -> None:
    """Run all these processes at the same time on one set of tasks, each against a service of its own with the same tasks."""
    async with AsyncExitStack() as stack:
        clients = []
        for result, store in jobs:
            sim = await stack.enter_async_context(serve(VoiceService(scenario, time.time)))
            client = Client(result.way, sim, store)
            stack.enter_context(client.running())
            clients.append((result, client))
        for _, client in clients:
            await client.until_started()
        began = time.monotonic()
        for task, at in enumerate(plan.arrivals(number)):
            await anyio.sleep(max(0.0, began + at - time.monotonic()))
            for _, client in clients:
                client.submit(client.sim.tasks.ensure(SPEAKER_SEARCH, CONNECTOR, f"task-{number}-{task:04d}", time.time()))
        async with anyio.create_task_group() as ends:
            for result, client in clients:
                ends.start_soon(_end, result, client)


async def _end(result: Result, client: Client) -> None:
    if not await client.until_ended(PATIENCE_S):
        print(f"{result.name}: not all ends were seen", file=sys.stderr, flush=True)
    result.add(client, time.time())
    print(" | ".join(result.row(result)[:-1]), file=sys.stderr, flush=True)  # progress: all rounds together take minutes


def chart(results: Sequence[Result]) -> Chart:
    """The share of the transitions that each way had detected within a time, for tasks that are submitted with their ids."""
    shown = [result for result in results if not result.way.sends_status]
    chart = Chart("Transitions that were detected within a time", ("lag, s", 0, MOST_S), ("share", 0, 1))
    chart.ticks(range(int(MOST_S) + 1), (0, 0.2, 0.4, 0.6, 0.8, 1))
    for place, (result, colour) in enumerate(zip(shown, (*COLOURS, "#bf3989"), strict=False)):
        lags = result.lags.all_s
        quantiles = [(lags[math.ceil(n * len(lags) / STEPS) - 1], n / STEPS) for n in range(1, STEPS + 1)]
        chart.line([(0, 0), *(each for each in quantiles if each[0] <= MOST_S)], colour, dashed=result.way.retry_mode != "")
        chart.text(MOST_S, 0.45 - 0.08 * place, result.name.replace("`", ""), colour, "end")
    return chart


MOST_S = 10.0
"""The greatest lag in the plot."""
STEPS = 200
"""The points of a line in the plot."""

HEADER = (
    "client",
    "submitted",
    "calls a task",
    "throttled",
    "mean lag of all transitions",
    "mean lag of ends",
    "p99 of all",
    "times less than the loop (legacy)",
)


def _note(plan: Plan) -> str:
    sets = " Two sets of such tasks are measured, and the figures are of both." if plan.sets > 1 else ""
    return f"""
{plan.tasks} speaker searches arrive at random times over {plan.seconds:.0f} s. They wait in the queue (exponential, 1 s) and run for 6 to
22 s (uniform); a fifth of those that succeed have `PARTIAL_SUCCESS` before. The service allows {QUOTA:g} calls a second, with a credit of
one second, and replies after 20 to 60 ms.{sets}

The *loop* is the simplest one: aioboto3, an asyncio task for each AWS task, a poll every 5 s, and one of the SDK's retry modes.
The *watcher* has its defaults, SQLite, and `jsonl` on stdout. *Cold*: its store is empty. *Learned*: it continues on the store that it left
after other tasks of the same kind. *Submitted*: with the id alone, or with the service's reply to the start, which has the status.

Each client is a process of its own, with a simulated service of its own, which has the same tasks at the same times. All of them run at the
same time, so that they meet the same machine. They hardly use it: together they make about a hundred calls a second.

*Calls* and *throttled* are counted by the service, and repeated calls of the SDK are calls. The *lag* of a transition is the time from
when the service made it until the client's line about it, or about a later one of the same task, is read from its stdout. Every transition
counts: the start, `PARTIAL_SUCCESS`, the end. The creation does not.

Aim: cold and with ids alone, at least 2.5 times less mean lag than the loop, and less than 1 % of the calls throttled.
"""
