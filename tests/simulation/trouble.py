"""Trouble, and how it passes. Each scene waits for its time, makes it so, and makes it good again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio

from tests.simulation.story import Trouble
from watcher.errors import CredentialsRejected, RemoteError, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry

if TYPE_CHECKING:
    from tests.simulation.play import World

Undo = Callable[[], None]


def scene(world: World, trouble: Trouble) -> Callable[[], Awaitable[None]]:
    """Something to be started with the world, and cancelled with it."""

    async def played() -> None:
        await anyio.sleep(trouble.at)
        world.record.seen[trouble.what] += 1
        undo = _begin(world, trouble)
        try:
            await anyio.sleep(max(0.0, trouble.at + trouble.lasts - anyio.current_time()))  # it began late where the process was stopped
        finally:
            undo()

    played.__qualname__ = trouble.what
    return played


def _begin(world: World, trouble: Trouble) -> Undo:
    """Make it so. Returns what makes it good again."""
    match trouble.what:
        case "service" | "revoked" | "expired" | "quota":
            return _service(world, trouble)
        case "queue":
            world.queue.failure = _failing(trouble)
            return lambda: setattr(world.queue, "failure", None)
        case "sink" | "fussy sink" | "strict sink":
            return _sink(world, trouble)
        case "disk":
            world.ground.full = "pages" if trouble.strength < 0.5 else "bytes"
            return lambda: setattr(world.ground, "full", "")
        case "clock":
            world.skew += (trouble.strength - 0.5) * 2400
        case "stopped":
            world.pause.seconds += trouble.lasts * (10 if trouble.strength < 0.3 else 1)
    return lambda: None


def _service(world: World, trouble: Trouble) -> Undo:
    story, service = world.story, world.service
    if trouble.what == "quota":
        service.change(quota=0 if trouble.strength < 0.3 else story.quota / 2)
        return lambda: service.change(quota=story.quota)
    service.change(faults={"503" if trouble.what == "service" else trouble.what: 1.0})

    def undo() -> None:
        world.probe.heals = None
        service.change(faults=story.faults)

    if trouble.what == "expired" and trouble.strength < 0.5:
        world.probe.heals = undo
    return undo


def _sink(world: World, trouble: Trouble) -> Undo:
    inbox = world.inboxes[int(trouble.strength * len(world.inboxes)) % len(world.inboxes)]
    if trouble.what == "sink":
        inbox.failure = _failing(trouble)
        return lambda: setattr(inbox, "failure", None)
    no: Outcome = Retry(Unavailable("not now")) if trouble.what == "fussy sink" else Rejected("field")

    def answer(event: Event) -> Outcome:
        return no if world.rng.random() < trouble.strength else Delivered()

    inbox.answer = answer
    return lambda: setattr(inbox, "answer", lambda event: Delivered())


def _failing(trouble: Trouble) -> RemoteError:
    return Unavailable("503") if trouble.strength < 0.7 else CredentialsRejected("ExpiredToken")
