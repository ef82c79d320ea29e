"""The exam that every store takes: the sentences of the store's protocols in watcher/ports/, each as a test.

A store's test module makes a subclass of `StoreExam` with the fixture `storage`: the place that keeps the content of a
store, so that it can be opened again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pytest

from tests.contracts.store_exam.commits import CommitExam
from tests.contracts.store_exam.copies import CopiesExam
from tests.contracts.store_exam.leases import LeaseExam
from tests.contracts.store_exam.operations import OperationsExam
from tests.contracts.store_exam.outbox import OutboxExam
from tests.contracts.store_exam.queries import QueriesExam
from tests.contracts.store_exam.shards import ShardsExam
from tests.contracts.store_exam.tokens import TokensExam
from watcher.ports import PortableStore


class Storage(Protocol):
    keeps: bool
    """Whether the content outlives the closing of a store."""

    def store(self) -> PortableStore:
        """A store on this content, not open."""


class StoreExam(ShardsExam, CommitExam, LeaseExam, OutboxExam, QueriesExam, OperationsExam, TokensExam, CopiesExam):
    """Subclasses have the fixture `storage`."""

    @pytest.fixture
    async def store(self, storage: Storage) -> AsyncIterator[PortableStore]:
        store = storage.store()
        await store.open(["bus", "log"])
        yield store
        await store.close()

    async def reopened(self, storage: Storage, store: PortableStore, *sinks: str, drop: Sequence[str] = ()) -> PortableStore:
        if not storage.keeps:
            pytest.skip("the content of this store ends with it")
        await store.close()
        again = storage.store()
        try:
            await again.open(sinks or ["bus", "log"], drop)
        except BaseException:
            await again.close()
            raise
        return again
