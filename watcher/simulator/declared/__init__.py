"""Simulated tasks of any kind, by its declaration and by the API model that botocore ships.

Unlike the rest of the simulator, this package imports `watcher.kinds` and botocore. So it cannot find a mistake in a declaration that
also fits the API model; `tests/simulator` runs each shipped kind against it through the real SDK. The kinds and their
API models are loaded at the first request about one of them, so that the voice service starts fast.
"""

from __future__ import annotations

from watcher.simulator.declared.catalog import Kinds, ServedKinds
from watcher.simulator.declared.http_api import DeclaredApi
from watcher.simulator.declared.service import DeclaredService

__all__ = ["DeclaredApi", "DeclaredService", "Kinds", "ServedKinds"]
