"""When the watch of a task that does not end is ended."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.runtime.settings import ServiceSettings

pytestmark = pytest.mark.looptime(noop_cycles=0)


@pytest.mark.parametrize("deadline", [70, 130, 1000])
@pytest.mark.parametrize("every", [60, 600])
async def test_a_watch_ends_at_its_deadline_however_rarely_its_task_is_polled(world: MakeWorld, deadline: int, every: int) -> None:
    """The last gap ends at the deadline: the last event is observed within seconds of it, not at the end of a long gap."""
    settings = ServiceSettings(watch=WatchSettings(deadline=deadline), cadence=CadenceSettings(type="fixed", every=every, max_gap=every))
    w = world(finite=False, settings=settings, durations="queue=fixed(1),run=never")
    w.submit("task-1")
    async with w.running() as watcher:
        while not w.inbox.bodies:  # noqa: ASYNC110 - an inbox signals nothing
            await anyio.sleep(0.1)
        (began,) = [entry.watch.admitted_at for poller in watcher.loops.pollers if (entry := poller.pending.get(w.inbox.events[0].key))]
        await anyio.sleep(deadline + 2 * every)
    last = w.inbox.events[-1]
    assert (last.terminal, w.inbox.bodies[-1]["data"]["reason"]) == (True, "deadline")
    assert 0 <= last.at - began - deadline < 5
