"""Each quota of the service has its own pace, so that one slows no other."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.schedule import state_name
from watcher.errors import CredentialsRejected, Throttled
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef
from watcher.query import Selection
from watcher.runtime.polling import SHARED_CIRCUIT_S
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.probe import SimulatedProbe

pytestmark = pytest.mark.looptime(noop_cycles=0)


class NoVoiceToneQuota(SimulatedProbe):
    """The quota for voice tone analyses is 0, as it is in a new account."""

    voice_tone_calls = 0

    async def observe_one(self, ref: TaskRef) -> Observation:
        if ref.kind == "voice-tone":
            self.voice_tone_calls += 1
            raise Throttled("ThrottledClientException")
        return await super().observe_one(ref)


async def test_a_quota_of_0_slows_no_other(world: MakeWorld) -> None:
    """Speaker searches are polled at their own pace, and readiness names the quota to raise."""
    w = world(quota=20.0, durations="run=fixed(5)", partial=0, finite=False)
    w.probe = probe = NoVoiceToneQuota(w.service)
    names = [f"task-{n}" for n in range(30)]
    w.submit(*names)
    for name in names:
        w.queue.put(f'{{"kind": "voice-tone", "voice_connector_id": "abc123", "voice_tone_analysis_task_id": "{name}"}}')
    async with w.running() as watcher:
        await anyio.sleep(60)
        ended = {event.key for event in w.inbox.events if event.terminal}
        assert ended == {f"speaker-search/abc123/{name}" for name in names}
        assert probe.voice_tone_calls < 15, "one call in half a minute, after the first few"
        assert len(watcher.loops.pollers) == len(names), "the voice tone analyses stay watched"
        health = watcher.health
        assert (health.is_good("quota:voice-tone"), health.is_good("quota:speaker-search")) == (False, True)
        assert "Voice tone" in health.ready()[1]["quota:voice-tone"].hint
    paces = {name: float(await w.store.load_state(state_name("pace", quota)) or "nan") for name, quota in builtin_catalog().quotas.items()}
    assert paces["voice-tone"] < 1 < paces["speaker-search"]


async def test_a_quota_that_others_use_up_is_named_until_it_is_there_again(world: MakeWorld) -> None:
    """When every call is throttled for a minute after a good time, readiness says so with the quota to raise, and then that it works."""
    w = world(quota=20.0, durations="run=never", partial=0, finite=False)
    w.submit(*(f"task-{n}" for n in range(10)))
    async with w.running() as watcher:
        await anyio.sleep(100)
        w.service.change(quota=0.0, burst=0.0)
        await anyio.sleep(45)
        assert watcher.health.is_good("quota:speaker-search"), "another client may take all calls for a moment"
        await anyio.sleep(60)
        condition = watcher.health.ready()[1]["quota:speaker-search"]
        assert (condition.ok, "for a minute" in condition.reason, "Speaker search" in condition.hint) == (False, True, True)
        w.service.change(quota=20.0, burst=20.0)
        await anyio.sleep(60)
        assert watcher.health.is_good("quota:speaker-search")


async def test_a_quota_of_0_without_tasks_does_not_keep_the_watcher_unready(world: MakeWorld) -> None:
    """When the last task under the quota is erased, the watcher is ready again, although no call was ever accepted."""
    w = world(quota=20.0, finite=False)
    w.probe = NoVoiceToneQuota(w.service)
    w.queue.put('{"kind": "voice-tone", "voice_connector_id": "abc123", "voice_tone_analysis_task_id": "task-1"}')
    async with w.running() as watcher:
        await anyio.sleep(100)
        assert not watcher.health.is_good("quota:voice-tone")
        await w.store.forget(Selection(key="voice-tone/abc123/task-1"))
        await anyio.sleep(60)
        assert watcher.health.is_good("quota:voice-tone")


async def test_a_circuit_that_another_quota_closed_holds_no_call(world: MakeWorld) -> None:
    """Calls that wait for a probe in a minute go as soon as the loop checks the circuit again, without being woken."""
    w = world(durations="run=never", finite=False, settings=ServiceSettings(cadence=CadenceSettings(type="fixed", every=1)))
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(30)
        circuits = next(iter(watcher.loops.pollers)).policy.circuits
        for _ in range(4):  # the credentials circuit belongs to the target, so a call of any quota can open and close it
            circuits.note(CredentialsRejected("ExpiredToken"), [("other", "other")], anyio.current_time() + 60)
        await anyio.sleep(10)
        before = w.service.stats.requests
        circuits.note(None, [("other", "other")], anyio.current_time())
        await anyio.sleep(SHARED_CIRCUIT_S + 0.5)
        assert w.service.stats.requests > before


class FirstCallThrottled(SimulatedProbe):
    """Throttles the first call about the task `urgent`."""

    polled: list[str]

    async def observe_one(self, ref: TaskRef) -> Observation:
        self.polled.append(ref.params[-1])
        if self.polled.count("urgent") == 1 and ref.params[-1] == "urgent":
            raise Throttled("ThrottledClientException")
        return await super().observe_one(ref)


async def test_a_task_to_poll_now_whose_call_was_throttled_is_still_polled_first(world: MakeWorld) -> None:
    """However many other tasks are overdue, the next call is about the same task."""
    w = world(
        durations="run=never",
        finite=False,
        quota=1000.0,
        settings=ServiceSettings(pace=PaceSettings(rate=5), limits=Limits(max_in_flight=1)),
    )
    w.probe = probe = FirstCallThrottled(w.service)
    probe.polled = []
    w.submit(*(f"task-{n}" for n in range(300)), "urgent")
    async with w.running() as watcher:
        await anyio.sleep(5)
        assert watcher.loops.pollers.poll_now(key("urgent"))
        await anyio.sleep(10)
    place = probe.polled.index("urgent")
    assert probe.polled[place : place + 2] == ["urgent", "urgent"]
