"""A task that is erased and submitted again while a call about it is under way."""

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.model import TaskRef
from watcher.query import Selection

pytestmark = pytest.mark.looptime

KEY = TaskRef("speaker-search", ("abc123", "task-1")).key


@pytest.mark.parametrize("at", [18.5, 20.5, 22.0, 23.5, 25.0])
@pytest.mark.parametrize("later", [0.1, 1.5, 3.0])
async def test_a_task_erased_and_submitted_again_in_mid_call_is_watched_to_its_end(world: MakeWorld, at: float, later: float) -> None:
    """Whatever the slow call about the old watch comes back to, the new one is told of to its last event, and no second call flies."""
    w = world(finite=False, durations="queue=fixed(20),run=fixed(60)", latency="fixed(4)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(at)
        assert await w.store.forget(Selection(key=KEY)) == 1
        await anyio.sleep(later)
        w.submit("task-1")
        await anyio.sleep(600)
        assert w.service.stats.peak_per_task == 1
    last = w.inbox.bodies[-1]["data"]
    assert (last["to"], last["terminal"]) == ("SUCCEEDED", True)
