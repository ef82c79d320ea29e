"""Known bugs, planted one at a time: an oracle that does not find them proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio

from watcher.model import Event, Message
from watcher.ports import Delivered, Outcome, Source
from watcher.runtime import delivery, intake, supervise, wake
from watcher.runtime.supervise import Watcher


class EagerIntake(intake.Intake):
    """Acknowledges before anything is admitted."""

    async def _take_in(self, source: Source, messages: Sequence[Message]) -> None:
        await self.acknowledge(source.name, messages)
        for message in messages:
            await self._admit(source.name, message, plain=source.plain)


class HopefulCourier(delivery.Courier):
    """Moves the cursor before the sink has anything."""

    async def _send(self, batch: Sequence[Event]) -> None:
        await self._store.settle(self.sink.name, batch, [])
        await super()._send(batch)


class CarelessCourier(delivery.Courier):
    """Counts an event that was not taken as delivered."""

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        await super()._settle(batch, [Delivered() for _ in outcomes])


class DeafBell(wake.Bell):
    """Loses a ring that comes while nobody waits."""

    async def wait(self, seconds: float = float("inf")) -> None:
        self._event = anyio.Event()
        await super().wait(seconds)


def _patched(**replacements: Any) -> Callable[..., Watcher]:
    """A watcher whose `supervise` module is given other classes while it opens."""

    class Mutant(Watcher):
        async def _open(self) -> None:
            kept = {name: getattr(supervise, name) for name in replacements}
            for name, other in replacements.items():
                setattr(supervise, name, other)
            try:
                await super()._open()
            finally:
                for name, original in kept.items():
                    setattr(supervise, name, original)

    return Mutant


class Forgetful(Watcher):
    """Does not know that a task is there already: every message begins a new watch."""

    async def _open(self) -> None:
        await super()._open()
        store = self.parts.store

        async def admit(watches: Sequence[Any]) -> Sequence[Any]:
            store._watches.update({watch.key: watch for watch in watches})  # type: ignore[attr-defined]
            return watches

        store.admit = admit  # type: ignore[method-assign]


class Unfenced(Watcher):
    """Commits to a watch that was erased."""

    async def _open(self) -> None:
        await super()._open()
        store = self.parts.store

        async def commit(changes: Sequence[Any]) -> Sequence[str]:
            for change in changes:
                store._watches[change.watch.key] = change.watch  # type: ignore[attr-defined]
                for event in change.events:
                    store._tell(event)  # type: ignore[attr-defined]
            return []

        store.commit = commit  # type: ignore[method-assign]


class Deaf(Watcher):
    """Its couriers do not hear that there is something new."""

    def _committed(self, events: Sequence[Event]) -> None:
        pass


MUTANTS: dict[str, Callable[..., Watcher]] = {
    "ack before commit": _patched(Intake=EagerIntake),
    "cursor before send": _patched(Courier=HopefulCourier),
    "not taken counts as delivered": _patched(Courier=CarelessCourier),
    "no dedupe": Forgetful,
    "no fence": Unfenced,
    "lost wake-up": Deaf,
}
