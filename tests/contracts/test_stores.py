"""Each store takes the exam."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.store_exam import StoreExam
from tests.contracts.store_exam.replicas import SharedStoreExam
from tests.postgres import Database, SharedDatabase
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings, SharedMemory
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.ports import PortableStore


class MemoryStorage:
    """The object itself keeps the content."""

    keeps = True

    def __init__(self, shards: int) -> None:
        self._store = MemoryStore(MemoryStoreSettings(), shards)

    def store(self) -> PortableStore:
        return self._store


class SqliteStorage:
    def __init__(self, path: str) -> None:
        self._path = path
        self.keeps = path != ":memory:"

    def store(self) -> PortableStore:
        return SqliteStore(SqliteStoreSettings(path=self._path))


class SharedMemoryStorage:
    """Replicas on a memory store, with a clock that moves by hand."""

    lease_s = 15.0

    def __init__(self) -> None:
        self._now = 0.0
        self._shared = SharedMemory(7, lambda: self._now, lease_s=self.lease_s)

    def replica(self, name: str) -> PortableStore:
        return self._shared.replica(name)

    async def advance(self, seconds: float) -> None:
        self._now += seconds


class TestMemory(StoreExam):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage(shards=1)


class TestMemoryWithFourShards(StoreExam):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage(shards=4)


class TestSqlite(StoreExam):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> SqliteStorage:
        return SqliteStorage(str(tmp_path / "a store #1?.db"))


class TestSqliteInMemory(StoreExam):
    @pytest.fixture
    def storage(self) -> SqliteStorage:
        return SqliteStorage(":memory:")


class TestSharedMemory(SharedStoreExam):
    @pytest.fixture
    def shared(self) -> SharedMemoryStorage:
        return SharedMemoryStorage()


@pytest.mark.process
class TestPostgres(StoreExam):
    """One replica on a shared store."""

    test_a_single_owner_claims_all_shards = None  # for stores whose leases never end

    @pytest.fixture
    def storage(self, database: Database) -> Database:
        return database

    @pytest.fixture
    async def store(self, storage: Database) -> AsyncIterator[PortableStore]:
        store = storage.store()
        await store.open(["bus", "log"])
        await store.claim()  # a replica gets the requests about its own shards
        yield store
        await store.close()


@pytest.mark.process
class TestSharedPostgres(SharedStoreExam):
    @pytest.fixture
    def shared(self, shared_database: SharedDatabase) -> SharedDatabase:
        return shared_database
