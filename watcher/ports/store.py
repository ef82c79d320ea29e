"""The store port as a whole."""

from __future__ import annotations

from typing import Protocol

from watcher.ports.copies import Copies
from watcher.ports.operations import Operations
from watcher.ports.outbox import Outbox
from watcher.ports.queries import Queries
from watcher.ports.shards import Shards


class Store(Shards, Outbox, Queries, Operations, Protocol):
    """A whole store."""


class PortableStore(Store, Copies, Protocol):
    """A store whose content can be copied from it and into it."""
