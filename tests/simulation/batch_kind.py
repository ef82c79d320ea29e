"""The kind of a story that has a call about several tasks: tasks of ECS, of which one call describes those of one cluster."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from watcher.kinds.catalog import DEFAULT_KIND, Catalog, builtin_catalog
from watcher.kinds.kind import Kind
from watcher.model import TaskRef

NAME = "ecs-task"
CLUSTERS = ("blue", "green")
DENIED_CLUSTER = "denied-cluster"
"""Each call about its tasks is denied as a whole."""
ALL_CLUSTERS = (*CLUSTERS, DENIED_CLUSTER)
STUCK, BROKEN, LATE = "stuck-", "broken-", "late-"
"""Prefixes of ids: a task that never ends; one that makes the reply to each call about it unreadable; one that is not found at first."""
SIZES = (2, 5, 100)
"""The most tasks in one call, of which a story has one."""
SHIPPED_SIZE = SIZES[-1]


def batch_ref(cluster: str, task: str) -> TaskRef:
    """The task with this id in this cluster."""
    return TaskRef(NAME, (cluster, f"arn:aws:ecs:us-east-1:111122223333:task/{cluster}/{task}"))


@cache
def catalog(size: int = SHIPPED_SIZE) -> Catalog:
    """All kinds that are shipped, with calls about at most `size` tasks of ECS.

    The service keeps an ended task for a week instead of an hour, as with the other kinds, because stories set clocks.
    """
    shipped = builtin_catalog()
    kinds = [kind if kind.name != NAME else _with_size(size) for kind in shipped]
    return Catalog(kinds, DEFAULT_KIND)


def _with_size(size: int) -> Kind:
    kind = builtin_catalog()[NAME]
    if kind.batch is None:
        raise AssertionError("the kind must have a call about several tasks")
    return replace(kind, batch=replace(kind.batch, size=size), retention_s=7 * 86_400.0)
