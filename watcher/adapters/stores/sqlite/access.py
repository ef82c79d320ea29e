"""What the parts of the store share: the file, and the epoch of the lease in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from watcher.adapters.stores.sqlite import owner_rows
from watcher.adapters.stores.sqlite.event_rows import SHARD
from watcher.adapters.stores.sqlite.file import SqliteFile
from watcher.errors import Fenced
from watcher.model import Lease


class SqliteAccess:
    """The common base of the parts of `SqliteStore`, one for each protocol of `watcher/ports/`."""

    def __init__(self, path: str) -> None:
        self._file = SqliteFile(path)
        self._epoch = 0
        """The epoch in the file, as of the current write transaction. Used in the writer thread."""

    def _begin(self, db: sqlite3.Connection) -> None:
        self._epoch = owner_rows.read_epoch(db)  # in each transaction: a check for each call would cost a tenth of its time

    def _check_lease(self, leases: Mapping[int, Lease]) -> None:
        lease = leases.get(SHARD)
        if lease is None or lease.epoch != self._epoch:
            raise Fenced([SHARD])
