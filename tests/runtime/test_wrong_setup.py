"""Answers that are about the setup, not about a task: nothing is found, or something other than the service answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, World, key
from watcher.core.hints import hint
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.open_circuits import STATE, OpenCircuit, dump
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import Busy, CredentialsRejected, Denied, NotFound, RemoteError, Unavailable, Unreadable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef
from watcher.queries.explain import explain_task
from watcher.queries.poll_plan import PollSettings
from watcher.query import Selection
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.probe import SimulatedProbe

pytestmark = pytest.mark.looptime(noop_cycles=0)

OUTAGE = "circuit:outage:chime-sdk-voice"
PACE = {"target": "default", "quota": "speaker-search"}
NOT_FOUND, UNREADABLE, CREDENTIALS = "circuit:not_found:chime-sdk-voice", "circuit:unreadable:chime-sdk-voice", "circuit:credentials"
HOUR_S = 3600.0


class Misdirected(SimulatedProbe):
    """Raises `error` for all tasks, or only for those in `about`, as long as it is set."""

    error: RemoteError | None = None
    about: frozenset[str] | None = None

    async def observe_one(self, ref: TaskRef) -> Observation:
        self.calls = [*getattr(self, "calls", []), (anyio.current_time(), ref.params[-1])]
        if self.error is not None and (self.about is None or ref.params[-1] in self.about):
            await anyio.sleep(0.05)
            raise self.error
        return await super().observe_one(ref)


def misdirect(world: World, error: RemoteError | None, about: frozenset[str] | None = None) -> Misdirected:
    probe = Misdirected(world.service)
    probe.error, probe.about = error, about
    world.probe = probe
    return probe


def ends(world: World) -> dict[str, str | None]:
    """Why each watch has ended, as the last event says; None where its task has ended."""
    return {
        event.key: body["data"].get("reason") for event in world.inbox.events if (body := world.inbox.of(event.key)[-1])["data"]["terminal"]
    }


async def test_a_place_where_nothing_is_found_ends_no_watch(world: MakeWorld) -> None:
    """An hour of 404 for every task since the start end nothing, are named, cost few calls, and everything is reported afterwards."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(9)", partial=0)
    probe = misdirect(w, NotFound("NotFoundException"))
    async with w.running() as watcher:
        w.submit(*(f"task-{n}" for n in range(25)))
        await anyio.sleep(90)
        assert not watcher.health.is_good(NOT_FOUND)
        assert "AWS_REGION" in watcher.health.ready()[1][NOT_FOUND].hint
        assert watcher.metrics.registry.get_sample_value(
            "watcher_circuit_open", {"circuit": "not_found", "target": "default", "service": "chime-sdk-voice"}
        )
        await anyio.sleep(HOUR_S)
        assert ends(w) == {}
        assert len([at for at, _ in probe.calls if at > HOUR_S / 2]) <= 30 + 4, "one probe a minute"
        probe.error = None
        await anyio.sleep(150)
        assert watcher.health.is_good(NOT_FOUND)
        assert ends(w) == {key(f"task-{n}"): None for n in range(25)}


async def test_tasks_that_disappear_together_are_kept(world: MakeWorld) -> None:
    """A service that loses all tasks in mid-run, and then has them again, ends no watch."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(1500)", partial=0)
    probe = misdirect(w, None)
    async with w.running() as watcher:
        w.submit("a", "b", "c", "d")
        await anyio.sleep(200)
        probe.error = NotFound("NotFoundException")
        await anyio.sleep(900)
        assert not watcher.health.is_good(NOT_FOUND)
        probe.error = None
        await anyio.sleep(600)
        assert watcher.health.is_good(NOT_FOUND)
    assert ends(w) == {key(name): None for name in "abcd"}


async def test_missing_tasks_among_others_end_after_their_grace_period(world: MakeWorld) -> None:
    """Also several of them, while one other task is found."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(400)", partial=0)
    misdirect(w, NotFound("NotFoundException"), frozenset({"x", "y", "z", "u"}))
    async with w.running() as watcher:
        w.submit("there", "x", "y", "z", "u")
        await anyio.sleep(130)
        assert ends(w) == dict.fromkeys(map(key, "xyzu"), "not_found")
        assert watcher.health.is_good(NOT_FOUND)


async def test_two_missing_tasks_end_and_the_log_says_that_nothing_was_found(world: MakeWorld) -> None:
    """Two are too few to tell a wrong Region from wrong ids, so they end, with a hint, one time."""
    w = world(finite=False)
    misdirect(w, NotFound("NotFoundException"))
    with capture_logs() as lines:
        async with w.running() as watcher:
            w.submit("one", "two")
            await anyio.sleep(130)
            assert watcher.health.is_good(NOT_FOUND)
    assert ends(w) == {key("one"): "not_found", key("two"): "not_found"}
    (said,) = [line for line in lines if line["event"] == "nothing_found"]
    assert "AWS_REGION" in said["hint"]


async def test_a_new_task_is_polled_at_once_while_missing_ones_wait(world: MakeWorld) -> None:
    """It closes the circuit as soon as it is found, and the missing ones end as usual."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(9)", partial=0)
    missing = frozenset(f"gone-{n}" for n in range(200))
    probe = misdirect(w, NotFound("NotFoundException"), missing)
    async with w.running() as watcher:
        w.submit(*missing)
        await anyio.sleep(900)
        assert not watcher.health.is_good(NOT_FOUND)
        submitted = anyio.current_time()
        w.submit("new")
        await anyio.sleep(20)
        assert min(at for at, id_ in probe.calls if id_ == "new") <= submitted + 5
        assert watcher.health.is_good(NOT_FOUND)
        assert ends(w)[key("new")] is None
        await anyio.sleep(HOUR_S)
        assert set(ends(w).values()) == {None, "not_found"}
        assert len(ends(w)) == 201


async def test_a_denied_task_ends_after_its_deadline_while_nothing_is_found(world: MakeWorld) -> None:
    """Until then its denials may be about the setup as well; after it, they end its watch as they usually do."""
    w = world(finite=False, settings=ServiceSettings(watch=WatchSettings(deadline=1800)))

    class Denying(Misdirected):
        async def observe_one(self, ref: TaskRef) -> Observation:
            if ref.params[-1] == "denied":
                raise Denied("AccessDeniedException")
            return await super().observe_one(ref)

    w.probe = probe = Denying(w.service)
    probe.error = NotFound("NotFoundException")
    async with w.running() as watcher:
        w.submit("task-1", "task-2", "task-3")
        await anyio.sleep(90)
        assert not watcher.health.is_good(NOT_FOUND)
        w.submit("denied")
        await anyio.sleep(1750)
        assert key("denied") not in ends(w)
        await anyio.sleep(300)
        assert ends(w)[key("denied")] == "denied"


async def test_a_deadline_ends_a_watch_while_nothing_is_found(world: MakeWorld) -> None:
    """With its own reason, when the next probe is about it."""
    w = world(finite=False, settings=ServiceSettings(watch=WatchSettings(deadline=1200)))
    misdirect(w, NotFound("NotFoundException"))
    async with w.running():
        w.submit("a", "b", "c")
        await anyio.sleep(1190)
        assert ends(w) == {}
        await anyio.sleep(400)
    assert set(ends(w).values()) == {"deadline"}


async def test_missing_tasks_that_have_ended_or_are_erased_keep_no_circuit_open(world: MakeWorld) -> None:
    """No call can close it any more. The next tasks that are missing open it again before one of them ends."""
    w = world(finite=False)
    misdirect(w, NotFound("NotFoundException"))
    async with w.running() as watcher:
        w.submit("a", "b", "c")
        await anyio.sleep(90)
        assert not watcher.health.is_good(NOT_FOUND)
        for name in "abc":
            await w.store.forget(Selection(key=key(name)))
        await anyio.sleep(5)
        assert watcher.health.is_good(NOT_FOUND)
        w.submit("d", "e", "f")
        await anyio.sleep(120)
        assert not watcher.health.is_good(NOT_FOUND)
    assert ends(w) == {}


@pytest.mark.parametrize("tasks", [1, 2, 30])
@pytest.mark.parametrize(
    ("error", "component"),
    [
        (Unreadable("407", foreign=True), UNREADABLE),
        (Unreadable("404", foreign=True), UNREADABLE),
        (CredentialsRejected("IllegalCharacter", unsent=True), CREDENTIALS),
        (Unavailable("ProxyConnectionError"), OUTAGE),
    ],
    ids=["proxy", "mesh", "illegal header", "unreachable proxy"],
)
async def test_trouble_on_the_way_is_named_and_healing_is_noticed(world: MakeWorld, error: RemoteError, component: str, tasks: int) -> None:
    """With one task or many: not ready within seconds, no watch ends, also after its deadline, and polling resumes with the next probe."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(9)", partial=0)
    probe = misdirect(w, error)
    names = [f"task-{n}" for n in range(tasks)]
    async with w.running() as watcher:
        w.submit(*names, deadline_s=400)
        await anyio.sleep(8 if component != OUTAGE else 150)
        assert not watcher.health.is_good(component)
        assert watcher.metrics.registry.get_sample_value("watcher_pace_calls_per_second", PACE) == 1.0, "no answer of the service"
        assert watcher.health.ready()[1][component].reason == f"open: {error.code}"
        await anyio.sleep(900)
        assert ends(w) == {}
        probe.error, healed = None, anyio.current_time()
        while not watcher.health.is_good(component):  # noqa: ASYNC110 - a change of health sets no event
            await anyio.sleep(0.5)
        assert anyio.current_time() - healed <= (6.5 if isinstance(error, CredentialsRejected) else 61.5)
        await anyio.sleep(60)
        assert set(ends(w)) == set(map(key, names))


async def test_explain_names_the_open_circuit_within_seconds(world: MakeWorld) -> None:
    """For a task that is not polled because of it; no longer when it has closed, nor when a process that was killed had saved it."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(1000)", partial=0)
    probe = misdirect(w, CredentialsRejected("CredentialRetrievalError", unsent=True))
    settings = PollSettings(WatchSettings(), CadenceSettings())

    async def named() -> list[str]:
        found = await explain_task(w.store, builtin_catalog(), key("one"), settings, w.wall())
        assert found.next is not None
        return list(found.next.open_circuits)

    await w.store.open([w.inbox.name])
    await w.store.save_state(STATE, dump([OpenCircuit("circuit:outage:chime-sdk-voice", "open: old", 0.0, "")]))
    async with w.running():
        w.submit("one")
        await anyio.sleep(9)
        assert await named() == [CREDENTIALS]
        probe.error = None
        await anyio.sleep(12)
        assert await named() == []


async def test_busy_tasks_leave_the_quota_to_others(world: MakeWorld) -> None:
    """Thirty tasks that always answer with a conflict take less than a call a second, others are not late, and all end."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(9)", partial=0, quota=5.0)
    busy = frozenset(f"busy-{n}" for n in range(30))
    probe = misdirect(w, Busy("ConflictException"), busy)
    async with w.running():
        w.submit(*busy, deadline_s=900)
        await anyio.sleep(300)
        began = anyio.current_time()
        w.submit(*(f"task-{n}" for n in range(20)))
        await anyio.sleep(60)
        others = ends(w)
        assert set(others) == {key(f"task-{n}") for n in range(20)}
        assert len([at for at, id_ in probe.calls if at >= began and id_ in busy]) <= 60
        await anyio.sleep(900)
    assert ends(w) == {**others, **dict.fromkeys(map(key, busy), "busy")}


def failure_lines(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [(line["code"], line["failures"]) for line in lines if line["event"] == "calls_failed"]


@pytest.mark.parametrize("error", [Unavailable("EndpointConnectionError"), Unreadable("no_task"), Unreadable("404", foreign=True)])
async def test_the_first_call_that_fails_is_logged(world: MakeWorld, error: RemoteError) -> None:
    """If the first call since the start gets no answer, a line with its code follows at once, before any circuit opens."""
    w = world(finite=False)
    misdirect(w, error)
    with capture_logs() as lines:
        async with w.running():
            w.submit("task-1")
            await anyio.sleep(1)
    assert failure_lines(lines) == [(error.code, 1)]
    assert [line["hint"] for line in lines if line["event"] == "calls_failed"] == [hint(error)]


async def test_failing_calls_are_logged_once_a_minute_until_the_circuit_opens(world: MakeWorld) -> None:
    """After that, the circuit is the report, and an hour of failing calls adds no line."""
    w = world(finite=False)
    misdirect(w, Unavailable("EndpointConnectionError"))
    with capture_logs() as lines:
        async with w.running() as watcher:
            w.submit(*(f"task-{n}" for n in range(5)))
            await anyio.sleep(HOUR_S)
            assert not watcher.health.is_good(OUTAGE)
    assert failure_lines(lines)[0] == ("EndpointConnectionError", 1)
    assert len(failure_lines(lines)) <= 2
