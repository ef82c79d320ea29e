"""Every component is listed, and every counter exists, before anything happens."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.core.polling.circuits import NAMES
from watcher.errors import Unavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.runtime.service import Watcher
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.looptime(noop_cycles=0)


def samples(watcher: Watcher, name: str) -> dict[str, float]:
    """The samples of a metric as a scrape shows them, by their labels."""
    lines = [line for line in watcher.metrics.render().decode().splitlines() if line.startswith(f"{name}{{")]
    return {line[len(name) : line.rindex(" ")]: float(line.rpartition(" ")[2]) for line in lines}


def component(name: str) -> str:
    return f'{{component="{name}"}}'


async def test_components_are_listed_from_the_start(world: MakeWorld) -> None:
    """A watcher that has not started yet lists its store, sources, sinks, and the quotas and circuits of the default kind's service, all of
    them as working."""
    w = world(sinks=[SimulatedInbox(name="crm"), SimulatedInbox(name="bus")])
    w.sources.append(SimulatedQueue(name="second"))
    watcher = w.watcher()
    ready, conditions = watcher.health.ready()
    catalog = builtin_catalog()
    service = catalog.default.service
    circuits = {"circuit:credentials", *(f"circuit:{name}:{service}" for name in NAMES[1:])}
    quotas = {f"quota:{kind.quota.name}" for kind in catalog if kind.service == service}
    expected = {"store", *(f"source:{s.name}" for s in w.sources), "sink:crm", "sink:bus", *quotas}
    assert ready
    assert set(conditions) == expected | circuits
    assert samples(watcher, "watcher_component_healthy") == {component(name): 1.0 for name in conditions}
    assert set(samples(watcher, "watcher_circuit_open").values()) == {0.0}
    assert len(samples(watcher, "watcher_circuit_open")) == len([name for name in conditions if name.startswith("circuit:")])


async def test_a_component_that_fails_is_0_until_it_works_again(world: MakeWorld) -> None:
    """The metric of a component follows its condition: of a sink, of a source, of the store, of a quota, and of a circuit."""
    w = world(finite=False)
    w.submit("task-1", "task-2")
    failing = {f"sink:{w.inbox.name}", f"source:{w.queue.name}", "store", "quota:speaker-search", "circuit:credentials"}
    async with w.running() as watcher:
        await anyio.sleep(10)
        for name in failing:
            watcher.health.bad(name, "down", "wait")
        shown = samples(watcher, "watcher_component_healthy")
        assert {name for name in watcher.health.ready()[1] if shown[component(name)] == 0} == failing
        for name in failing:
            watcher.health.good(name)
        assert set(samples(watcher, "watcher_component_healthy").values()) == {1.0}


async def test_the_metric_of_a_sink_follows_its_failures(world: MakeWorld) -> None:
    """While a sink accepts nothing its component is 0, and then 1 again; the other components stay 1."""
    down, up = SimulatedInbox(name="down"), SimulatedInbox(name="up")
    w = world(sinks=[down, up], finite=False)
    down.failure = Unavailable("503")
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(100)
        shown = samples(watcher, "watcher_component_healthy")
        assert [labels for labels, value in shown.items() if value != 1] == [component("sink:down")]
        down.failure = None
        await anyio.sleep(100)
        assert samples(watcher, "watcher_component_healthy") == dict.fromkeys(shown, 1.0)
