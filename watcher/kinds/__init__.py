"""What can be watched: kinds of remote tasks, as data."""

from __future__ import annotations

from typing import Any

from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Kind, Notifications, Param, Phase, Quota, StatusClass

__all__ = ["Catalog", "Kind", "Notifications", "Param", "Phase", "Quota", "StatusClass", "builtin_catalog"]


def __getattr__(name: str) -> Any:
    """KINDS and QUOTAS, for callers that are not passed a catalog yet. To be removed."""
    if name == "KINDS":
        return builtin_catalog().kinds
    if name == "QUOTAS":
        return builtin_catalog().quotas
    raise AttributeError(name)
