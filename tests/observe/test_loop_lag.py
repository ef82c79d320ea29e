"""The lag of the event loop, measured with clocks that the tests set."""

import anyio
import pytest

from watcher.kinds.catalog import builtin_catalog
from watcher.observe.loop_lag import Heartbeat, measure_loop_lag
from watcher.observe.metrics import Metrics


class Clock:
    """The time of the event loop, plus a delay that the test adds."""

    def __init__(self, looptime):
        self.loop, self.delay = looptime, 0.0

    def __call__(self):
        return float(self.loop) + self.delay


@pytest.mark.looptime
async def test_a_delay_is_shown_for_30_s(looptime):
    """The gauge shows a delay of 5 s until it is 30 s ago."""
    metrics, clock = Metrics(builtin_catalog()), Clock(looptime)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: measure_loop_lag(metrics, 0.5, clock=clock))
        await anyio.sleep(1.2)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(0, abs=0.01)
        clock.delay += 5
        await anyio.sleep(1)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(5, abs=0.01)
        await anyio.sleep(31)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(0, abs=0.01)
        tasks.cancel_scope.cancel()


@pytest.mark.looptime
async def test_the_heartbeat_ages_only_while_nothing_measures(looptime):
    """The age of the last beat stays below the interval while the lag is measured, and grows afterwards."""
    clock = Clock(looptime)
    heartbeat = Heartbeat(clock)
    with anyio.move_on_after(10):
        await measure_loop_lag(Metrics(builtin_catalog()), 0.5, heartbeat=heartbeat, clock=clock)
    assert heartbeat.age() <= 0.51
    await anyio.sleep(60)
    assert heartbeat.age() >= 60
    assert heartbeat.age(now=clock() + 5) >= 65
    heartbeat.beat()
    assert heartbeat.age() == 0
