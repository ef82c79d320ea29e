"""How late the loop runs, told with clocks that the tests hold."""

import anyio
import pytest

from watcher.observe.loop_lag import Heartbeat, measure_loop_lag
from watcher.observe.metrics import Metrics


class Clock:
    """A clock that reads the loop's time, plus what the test says was lost."""

    def __init__(self, looptime):
        self.loop, self.lost = looptime, 0.0

    def __call__(self):
        return float(self.loop) + self.lost


@pytest.mark.looptime
async def test_a_blocked_loop_is_seen_and_remembered_for_a_while(looptime):
    """A delay of 5 s is shown until it is 30 s ago, then the gauge falls back."""
    metrics, clock = Metrics(), Clock(looptime)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: measure_loop_lag(metrics, 0.5, clock=clock))
        await anyio.sleep(1.2)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(0, abs=0.01)
        clock.lost += 5
        await anyio.sleep(1)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(5, abs=0.01)
        await anyio.sleep(31)
        assert metrics.registry.get_sample_value("watcher_loop_lag_seconds") == pytest.approx(0, abs=0.01)
        tasks.cancel_scope.cancel()


@pytest.mark.looptime
async def test_the_heart_beats_while_the_loop_turns(looptime):
    """The age of the last beat stays below the interval while it is measured, and grows when nothing beats."""
    clock = Clock(looptime)
    heartbeat = Heartbeat(clock)
    with anyio.move_on_after(10):
        await measure_loop_lag(Metrics(), 0.5, heartbeat=heartbeat, clock=clock)
    assert heartbeat.age() <= 0.51
    await anyio.sleep(60)
    assert heartbeat.age() >= 60
    assert heartbeat.age(now=clock() + 5) >= 65
    heartbeat.beat()
    assert heartbeat.age() == 0
