"""What the routes use of a running watcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from watcher.kinds.catalog import Catalog
from watcher.kinds.form import KindForm
from watcher.model import Scope
from watcher.observe.metrics import Metrics
from watcher.ports import Store
from watcher.queries.poll_plan import PollSettings
from watcher.runtime.admission import Admission
from watcher.runtime.event_tail import EventTail
from watcher.runtime.wakeup import IntakeGate


@dataclass(frozen=True, slots=True)
class Backend:
    """A running watcher, as the API sees it. The store makes one attempt for each call: the client retries, not the server."""

    store: Store
    admission: Admission
    gate: IntakeGate
    loaded: anyio.Event
    """As in `runtime.service.Handles`."""
    tail: EventTail
    catalog: Catalog
    metrics: Metrics
    polls: PollSettings
    scopes: Mapping[str, Scope]
    """The configured targets, by name."""
    max_readers: int
    """The maximum number of readers at the same time."""
    wall: Callable[[], float]
    """Returns seconds since the epoch."""
    own_kinds: Sequence[KindForm] = ()
    """The declarations of the kinds of the configuration. The catalog has them too."""
