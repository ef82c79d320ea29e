"""Reads all pages of a query."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from watcher.query import DeadLetterQuery, Page, TaskQuery

PAGE_SIZE = 1000
"""The most items that are read from the store at once."""

Q = TypeVar("Q", TaskQuery, DeadLetterQuery)
T = TypeVar("T")


async def read_pages(read: Callable[[Q], Awaitable[Page[T]]], query: Q, limit: int | None = None) -> list[T]:
    """Read page after page, until there is no further one or `limit` items were read. The limit of `query` is not used."""
    items: list[T] = []
    while limit is None or len(items) < limit:
        size = PAGE_SIZE if limit is None else min(PAGE_SIZE, limit - len(items))
        page = await read(replace(query, limit=size))
        items += page.items
        if page.next is None:
            break
        query = replace(query, after=page.next)
    return items
