"""A kind of the configuration that cannot be polled, beside one of the same service that can."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, key
from watcher.core.hints import hint
from watcher.errors import RemoteError, Unreadable
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Quota
from watcher.model import Observation, TaskRef
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.probe import SimulatedProbe

pytestmark = pytest.mark.looptime(noop_cycles=0)

VOICE = builtin_catalog().default
OWN = replace(VOICE, name="own", own=True, quota=Quota("own", "Own"), arn=None, notifications=None, start=None)
TASKS = range(5)


class OwnFails(SimulatedProbe):
    """Raises `error` for the tasks of the own kind, and answers as the service does for others."""

    error: RemoteError

    async def observe_one(self, ref: TaskRef) -> Observation:
        if ref.kind == OWN.name:
            await anyio.sleep(0.05)
            raise self.error
        return await super().observe_one(ref)


async def test_a_call_that_the_sdk_lacks_affects_its_own_kind_alone(world: MakeWorld) -> None:
    """No component becomes unhealthy, tasks of the other kind end as usual, and the watches of the kind stay open until it is corrected."""
    w = world(settings=ServiceSettings(catalog=Catalog([VOICE, OWN], VOICE.name)), finite=False)
    probe = OwnFails(w.service)
    probe.error, w.probe = Unreadable("no_operation", unsent=True), probe
    with capture_logs() as lines:
        async with w.running() as watcher:
            w.submit(*(f"own-{n}" for n in TASKS), kind=OWN.name)
            w.submit(*(f"good-{n}" for n in TASKS))
            await anyio.sleep(600)
            assert watcher.health.ready()[0]
            assert await w.store.count_open([OWN.name]) == len(TASKS)
    assert {event.key for event in w.inbox.events if w.inbox.of(event.key)[-1]["data"]["terminal"]} == {key(f"good-{n}") for n in TASKS}
    assert not [line for line in lines if line["event"] == "component_unhealthy"]
    assert {line["hint"] for line in lines if line["event"] == "calls_failed"} == {hint(probe.error)}


async def test_a_reply_that_an_own_kind_does_not_fit_has_a_hint_about_the_kind(world: MakeWorld) -> None:
    """The line of the log and the circuit name the kind and `watcher config check`, and the circuit says in words what is wrong."""
    w = world(settings=ServiceSettings(catalog=Catalog([VOICE, OWN], VOICE.name)), finite=False)
    probe = OwnFails(w.service)
    probe.error, w.probe = Unreadable("result"), probe
    advice = hint(probe.error, kind=OWN.name)
    with capture_logs() as lines:
        async with w.running() as watcher:
            w.submit(*(f"own-{n}" for n in TASKS), kind=OWN.name)
            await anyio.sleep(60)
            circuit = watcher.health.ready()[1]["circuit:unreadable:chime-sdk-voice"]
            assert advice in circuit.hint
            assert circuit.reason == "open: result, the result in the reply cannot be used"
    assert {line["hint"] for line in lines if line["event"] == "calls_failed"} == {advice}
    assert "kind own" in advice
