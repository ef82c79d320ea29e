"""Trouble, and its end. Each trouble begins at its time, lasts for a while, and is undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from tests.simulation.story import Trouble
from watcher.errors import CredentialsRejected, RemoteError, Unavailable, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry

if TYPE_CHECKING:
    from tests.simulation.world import World

Undo = Callable[[], None]


def cause(world: World, trouble: Trouble) -> Callable[[], Awaitable[None]]:
    """A coroutine function that causes the trouble and undoes it, to run beside the watcher."""

    async def run() -> None:
        await anyio.sleep(trouble.at)
        world.record.seen[trouble.name] += 1
        undo = _begin(world, trouble)
        try:
            # shorter where the trouble began late, because the process was suspended
            await anyio.sleep(max(0.0, trouble.at + trouble.lasts_s - anyio.current_time()))
        finally:
            undo()

    run.__qualname__ = trouble.name
    return run


def _begin(world: World, trouble: Trouble) -> Undo:
    """Cause the trouble. Returns what undoes it."""
    match trouble.name:
        case "service" | "revoked" | "expired" | "quota":
            return _service(world, trouble)
        case "misdirected":
            world.probe.misdirection = _misdirection(trouble)
            return lambda: setattr(world.probe, "misdirection", None)
        case "queue":
            world.queue.failure = _failure(trouble)
            return lambda: setattr(world.queue, "failure", None)
        case "sink" | "postponing sink" | "rejecting sink" | "refusing sink":
            return _sink(world, trouble)
        case "disk":
            world.disk.full = "pages" if trouble.strength < 0.5 else "bytes"
            return lambda: setattr(world.disk, "full", "")
        case "clock":
            world.skew += (trouble.strength - 0.5) * 2400
        case "suspended":
            world.loop.suspended_s += trouble.lasts_s * (10 if trouble.strength < 0.3 else 1)
    return lambda: None


def _service(world: World, trouble: Trouble) -> Undo:
    story, service = world.story, world.service
    if trouble.name == "quota":
        service.change(quota=0 if trouble.strength < 0.3 else story.quota / 2)
        return lambda: service.change(quota=story.quota)
    service.change(faults={"503" if trouble.name == "service" else trouble.name: 1.0})

    def undo() -> None:
        world.probe.on_refresh = None
        service.change(faults=story.faults)

    if trouble.name == "expired" and trouble.strength < 0.5:
        world.probe.on_refresh = undo
    return undo


def _sink(world: World, trouble: Trouble) -> Undo:
    inbox = world.inboxes[int(trouble.strength * len(world.inboxes)) % len(world.inboxes)]
    if trouble.name == "sink":
        inbox.failure = _failure(trouble)
        return lambda: setattr(inbox, "failure", None)
    if trouble.name == "refusing sink":
        inbox.refusing = True
        return lambda: setattr(inbox, "refusing", False)
    refusal: Outcome = Retry(Unavailable("not now")) if trouble.name == "postponing sink" else Rejected("field")

    def answer(event: Event) -> Outcome:
        return refusal if world.rng.random() < trouble.strength else Delivered()

    inbox.answer = answer
    return lambda: setattr(inbox, "answer", lambda event: Delivered())


def _misdirection(trouble: Trouble) -> RemoteError:
    """What a call that does not reach the service raises."""
    if trouble.strength < 0.3:
        return CredentialsRejected("ExpiredCredentials", unsent=True)
    return Unreadable("404" if trouble.strength < 0.7 else "407", foreign=True)


def _failure(trouble: Trouble) -> RemoteError:
    return Unavailable("503") if trouble.strength < 0.7 else CredentialsRejected("ExpiredToken")
