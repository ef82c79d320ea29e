"""Each store takes the exam."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.store_exam import StoreExam
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
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
