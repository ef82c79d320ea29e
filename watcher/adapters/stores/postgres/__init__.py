"""A store in PostgreSQL: durable, and shared by several replicas.

Read `store.py` first: it opens the store and implements `ports.Shards`. `outbox.py`, `queries.py`, `operations.py`, and
`copies.py` implement the protocols of `watcher/ports/` in the modules of the same names.

`schema.py` defines the tables, `connections.py` opens and bounds connections, `writer.py` groups writes, `owner_writes.py`
writes under leases, `replica_rows.py` holds the leases, and each other `*_rows.py` the statements of some tables. Nothing here
sleeps or retries: `failures.py` names each error, and the runtime decides what to do.

The settings do not need psycopg, so that a configuration can name this store where it is not installed, and get a
mistake that says what to install.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.adapters.stores.postgres.settings import PostgresStoreSettings

if TYPE_CHECKING:
    from watcher.adapters.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore", "PostgresStoreSettings"]


def __getattr__(name: str) -> Any:
    if name == "PostgresStore":
        from watcher.adapters.stores.postgres.store import PostgresStore

        return PostgresStore
    raise AttributeError(name)
