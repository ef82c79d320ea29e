from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    """An open store with the sink `log`."""
    store = MemoryStore(MemoryStoreSettings())
    await store.open(["log"])
    yield store
    await store.close()
