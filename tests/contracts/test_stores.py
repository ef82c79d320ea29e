"""Each store sits the exam."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.store_exam import Kept, StoreExam
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings


class MemoryShelf:
    """What a memory store keeps is the object itself."""

    def __init__(self) -> None:
        self._store = MemoryStore(MemoryStoreSettings())

    def store(self) -> Kept:
        return self._store


class SqliteShelf:
    """A file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def store(self) -> Kept:
        return SqliteStore(SqliteStoreSettings(path=self._path))


class TestMemory(StoreExam):
    @pytest.fixture
    def shelf(self) -> MemoryShelf:
        return MemoryShelf()


class TestSqlite(StoreExam):
    @pytest.fixture
    def shelf(self, tmp_path: Path) -> SqliteShelf:
        return SqliteShelf(str(tmp_path / "a store #1?.db"))
