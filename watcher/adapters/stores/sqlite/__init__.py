"""A store in one SQLite file: durable, with one owner, and nothing to install.

Read `store.py` first; `schema.py` says what is in the file, `writer.py` how it gets there safely. Nothing here
may reach for the network, sleep or repeat: what fails is named in `failures.py`, and the runtime decides.
"""

from watcher.adapters.stores.sqlite.store import SqliteStore, SqliteStoreSettings

__all__ = ["SqliteStore", "SqliteStoreSettings"]
