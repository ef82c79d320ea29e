"""What `watcher kinds list --json` and the HTTP API show of a kind."""

from __future__ import annotations

from typing import Any

from watcher.kinds.kind import Kind


def kind_summary(kind: Kind) -> dict[str, Any]:
    """Return the facts of a kind as JSON values."""
    return {
        "kind": kind.name,
        "service": kind.service,
        "operation": kind.operation if kind.batch is None else kind.batch.operation,
        "params": [param.name for param in kind.params],
        "statuses": {status: str(class_) for status, class_ in kind.statuses.items()},
        "batch_size": kind.batch_size,
        "own": kind.own,
    }
