"""The open circuits as text in the store, so that a command in another process can name what holds the calls about a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from watcher.core.polling.circuit import component
from watcher.core.polling.circuits import NAMES

STATE = "circuits"
"""The name under which the store keeps the text."""


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """A circuit that is open, as health reports it."""

    component: str
    """Such as `circuit:outage:chime-sdk-voice`."""
    reason: str
    since: float
    """Wall-clock seconds."""
    hint: str


def dump(circuits: Iterable[OpenCircuit]) -> str:
    """The text for the store."""
    return json.dumps([asdict(circuit) for circuit in circuits])


def restore(text: str | None) -> Sequence[OpenCircuit]:
    """The circuits of a text that `dump` made. A text that cannot be read holds none."""
    try:
        found = [OpenCircuit(**members) for members in json.loads(text or "[]")]
    except (ValueError, TypeError):
        return ()
    return [circuit for circuit in found if isinstance(circuit.component, str) and isinstance(circuit.since, int | float)]


def holding(circuits: Iterable[OpenCircuit], target: str, service: str) -> Sequence[OpenCircuit]:
    """Those that hold calls to this service of this target."""
    names = {component(name, target, None if name == "credentials" else service) for name in NAMES}
    return [circuit for circuit in circuits if circuit.component in names]
