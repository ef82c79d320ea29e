"""Records how PostgreSQL carries out the statements of a store: it explains each one before it is executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from watcher.adapters.stores.postgres.connections import Session

EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True)
class Plan:
    """How one statement was carried out."""

    statement: str
    nodes: list[dict[str, Any]]

    @property
    def blocks(self) -> int:
        """How many blocks of tables and indexes it touched."""
        return int(self.nodes[0]["Shared Hit Blocks"] + self.nodes[0]["Shared Read Blocks"])

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def whole_tables(self) -> set[str]:
        """The tables that it read from the first row to the last."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}


@dataclass
class Plans:
    """The plans of the statements since the last `clear`."""

    found: list[Plan] = field(default_factory=list)

    def clear(self) -> None:
        self.found.clear()

    @property
    def blocks(self) -> int:
        return sum(plan.blocks for plan in self.found)

    @property
    def indexes(self) -> set[str]:
        return {index for plan in self.found for index in plan.indexes}

    @property
    def whole_tables(self) -> set[str]:
        return {table for plan in self.found for table in plan.whole_tables}


class Explained:
    """A connection that explains each statement, undoes that, and then executes it. Without pipelines."""

    def __init__(self, connection: Any, plans: Plans) -> None:
        self._connection = connection
        self._plans = plans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: Any, values: Any = None) -> Any:
        await self._explain(statement, values)
        return await self._connection.execute(statement, values)

    def cursor(self, **options: Any) -> Any:
        return _Cursor(self, self._connection.cursor(**options))

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        yield

    async def _explain(self, statement: Any, values: Any) -> None:
        if not isinstance(statement, str) or not statement.startswith(EXPLAINED):
            return
        explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {statement}"
        async with self._connection.transaction(force_rollback=True):
            row = await (await self._connection.execute(explain, values)).fetchone()
        self._plans.found.append(Plan(statement, list(_nodes(row[0][0]["Plan"]))))


class _Cursor:
    def __init__(self, connection: Explained, cursor: Any) -> None:
        self._connection = connection
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    async def execute(self, statement: Any, values: Any = None) -> None:
        await self._connection._explain(statement, values)
        await self._cursor.execute(statement, values)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    """The plans of all statements that stores execute from now on."""
    plans = Plans()
    run = Session._run

    async def explained(self: Session, work: Any, call_s: float) -> Any:
        return await run(self, lambda db: work(Explained(db, plans)), call_s)

    monkeypatch.setattr(Session, "_run", explained)
    return plans
