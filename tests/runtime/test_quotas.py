"""Each quota of the service has a pace of its own."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.core.schedule import noted
from watcher.errors import Throttled
from watcher.kinds import QUOTAS
from watcher.model import Observation, TaskRef
from watcher.simulator.probe import SimulatedProbe

pytestmark = pytest.mark.looptime


class NoVoiceTone(SimulatedProbe):
    """The account's quota for voice tone analyses is still 0, as it is until somebody has it raised."""

    asked = 0

    async def observe(self, ref: TaskRef) -> Observation:
        if ref.kind == "voice-tone":
            self.asked += 1
            raise Throttled("ThrottledClientException")
        return await super().observe(ref)


async def test_a_quota_of_0_slows_no_other(world: MakeWorld) -> None:
    """Speaker searches go on at their own pace, and what is said to be raised is the quota that is 0."""
    w = world(quota=20.0, durations="run=fixed(5)", partial=0, finite=False)
    w.probe = probe = NoVoiceTone(w.service)
    names = [f"task-{n}" for n in range(30)]
    w.submit(*names)
    for name in names:
        w.queue.put(f'{{"kind": "voice-tone", "voice_connector_id": "abc123", "voice_tone_analysis_task_id": "{name}"}}')
    async with w.running() as watcher:
        await anyio.sleep(60)
        ended = {event.key for event in w.inbox.events if event.terminal}
        assert ended == {f"speaker-search/abc123/{name}" for name in names}
        assert probe.asked < 15, "one call in half a minute, after the first few"
        assert len(watcher._pollers) == len(names), "they stay watched"
        health = watcher.health
        assert (health.is_good("quota:voice-tone"), health.is_good("quota:speaker-search")) == (False, True)
        assert "Voice tone" in health.ready()[1]["quota:voice-tone"].hint
    paces = {name: float(await w.store.recall(noted("pace", quota)) or "nan") for name, quota in QUOTAS.items()}
    assert paces["voice-tone"] < 1 < paces["speaker-search"]
