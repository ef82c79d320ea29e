"""A store in one SQLite file: durable, with one owner, and nothing to install.

Read `store.py` first: it opens the store and implements `ports.Shards`. `outbox.py`, `queries.py`, `operations.py`, and
`copies.py` implement the protocols of `watcher/ports/` in the modules of the same names.

`schema.py` defines the file, `file.py` opens it, `writer.py` commits to it, and each `*_rows.py` holds the statements of some
tables. Nothing here sleeps or retries: `failures.py` names each error, and the runtime decides what to do.
"""

from watcher.adapters.stores.sqlite.store import SqliteStore, SqliteStoreSettings

__all__ = ["SqliteStore", "SqliteStoreSettings"]
