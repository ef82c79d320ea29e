"""After a restore of a backup, an operator gives the store a new identity with a statement of docs/operating.md."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.pages import ROOT
from tests.postgres import Database
from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.ports import Store

IDENTITY = re.compile(r"[0-9a-f]{32}")


def statement(program: str) -> str:
    """The statement that the page gives to this program."""
    (found,) = re.findall(rf'^\$ {program} .*"(UPDATE .*name = \'identity\')"$', (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE)
    return str(found)


async def identity(store: Store) -> str:
    await store.open(["bus"])
    try:
        return await store.identity()
    finally:
        await store.close()


async def test_a_file_gets_a_new_identity(tmp_path: Path) -> None:
    """The statement for sqlite3 gives the file another valid identity, so that cursors from after the backup are refused."""
    path = tmp_path / "watcher.db"
    before = await identity(SqliteStore(SqliteStoreSettings(path=str(path))))
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement("sqlite3"))
    after = await identity(SqliteStore(SqliteStoreSettings(path=str(path))))
    assert IDENTITY.fullmatch(after)
    assert after != before


async def test_a_database_gets_a_new_identity(database: Database) -> None:
    """The statement for psql gives the tables another valid identity, so that cursors from after the backup are refused."""
    settings = PostgresStoreSettings.model_validate({"dsn": database.server.dsn, "schema_name": database.schema})
    before = await identity(PostgresStore(settings))
    database.execute(statement("psql").replace("watcher.state", f'"{database.schema}".state'))
    after = await identity(PostgresStore(settings))
    assert IDENTITY.fullmatch(after)
    assert after != before
