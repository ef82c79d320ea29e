"""A store in memory: for trials, and for containers whose queue keeps each input until its events are delivered.

It behaves like any other store, except that its content ends with the process.

Read `store.py` first: it opens the store and implements `ports.Shards`. `outbox.py`, `queries.py`, `operations.py`, and
`copies.py` implement the protocols of `watcher/ports/` in the modules of the same names. They call `content.py`,
which keeps everything.
"""

from watcher.adapters.stores.memory.replica import MemoryReplica, SharedMemory
from watcher.adapters.stores.memory.store import MemoryStore, MemoryStoreSettings

__all__ = ["MemoryReplica", "MemoryStore", "MemoryStoreSettings", "SharedMemory"]
