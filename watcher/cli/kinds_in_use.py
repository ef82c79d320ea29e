"""The kinds that `watcher doctor` checks without `--kind`: those with open watches in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from watcher.config import Settings
from watcher.errors import StoreError
from watcher.kinds.catalog import Catalog
from watcher.registry import STORES, AdapterContext
from watcher.section import local_file

if TYPE_CHECKING:
    from watcher.ports import Store

STORE_S = 3.0
"""The longest time to read the store, in seconds. The other checks begin after that."""


async def kinds_in_use(settings: Settings, catalog: Catalog, context: AdapterContext) -> Sequence[str]:
    """Return the names of the kinds that have open watches in the store, in the order of the catalog. Creates no store.

    Returns none for a store that cannot be read in `STORE_S`: the check of the store says why.
    """
    path = local_file(settings.store)
    if settings.store.type == "memory" or (path is not None and not await anyio.Path(path).is_file()):
        return ()
    store: Store = STORES[settings.store.type].build(settings.store, context)
    found: set[str] = set()
    try:
        with anyio.move_on_after(STORE_S):
            await store.attach()
            found = {count.kind for count in await store.count_by_state(context.clock())}
    except (StoreError, OSError):
        return ()
    finally:
        await store.close()
    return [name for name in catalog.kinds if name in found]
