"""What each failure of PostgreSQL means, and that no text shows a secret."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from tests.contracts.store_exam.facts import a_watch
from tests.postgres import Database, PostgresServer
from tests.relay import Relay
from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings
from watcher.adapters.stores.postgres.failures import FINAL, PASSWORD, TEMPORARY, store_error
from watcher.config import load, read, show
from watcher.config.show import MASK
from watcher.errors import ConfigMistakes, StoreError, StoreRefused, StoreUnavailable

SECRET = "canary-s3cret"
PLACE = "PostgreSQL db/watcher"


def error_of(state: str) -> psycopg.Error:
    class Failed(psycopg.Error):
        sqlstate = state

    return Failed(f"text with {SECRET}")


@pytest.mark.parametrize(
    "state",
    ["08000", "08006", "25006", "25P03", "40001", "40P01", "53100", "53200", "53300", "55P03", "57014", "57P01", "57P02", "57P03", "58030"],
)
def test_temporary_errors(state: str) -> None:
    """A lost connection, a lock, a full disk, a standby, a restart: a retry may succeed, and the text has the code."""
    named = store_error(error_of(state), PLACE)
    assert isinstance(named, StoreUnavailable)
    assert str(named).startswith(f"{PLACE}: ")
    assert str(named).endswith(f"({state})")
    assert SECRET not in str(named)


@pytest.mark.parametrize("state", ["28000", "28P01", "3D000", "3F000", "42501", "42P01", "26000", "XX001"])
def test_final_errors(state: str) -> None:
    """No permission, no database, no tables, damage: a retry cannot help, and the text says what to do."""
    named = store_error(error_of(state), PLACE)
    assert isinstance(named, StoreRefused)
    assert str(named).endswith(f"({state})")
    assert SECRET not in str(named)


@pytest.mark.parametrize("state", ["22003", "22021", "22P02", "23505", "23502", "42601", "54000"])
def test_mistakes_of_the_caller(state: str) -> None:
    """A value that does not fit, a violated constraint, a wrong statement: the error passes unchanged."""
    assert store_error(error_of(state), PLACE) is None


def test_errors_without_a_code() -> None:
    """A connection that was lost has no code; a use of psycopg that makes no sense is a mistake."""
    assert isinstance(store_error(psycopg.OperationalError("the connection is lost"), PLACE), StoreUnavailable)
    assert isinstance(store_error(psycopg.InterfaceError("closed"), PLACE), StoreUnavailable)
    assert store_error(psycopg.ProgrammingError("no such parameter"), PLACE) is None
    assert store_error(ValueError("not ours"), PLACE) is None


def test_each_text_says_what_to_do() -> None:
    """No code is both temporary and final."""
    assert not TEMPORARY.keys() & FINAL.keys()


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dsn", [f"postgresql://user:{SECRET}@db:x/name", f"host=db password='{SECRET}", f"{SECRET}", f"passwort={SECRET}"])
def test_a_wrong_connection_string_is_not_repeated(dsn: str) -> None:
    """The mistake says which forms are expected, and shows nothing of the value."""
    with pytest.raises(ValidationError) as mistake:
        PostgresStoreSettings(dsn=dsn)  # type: ignore[arg-type]
    assert "expected a connection string of PostgreSQL" in str(mistake.value)
    assert SECRET not in str(mistake.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"renew": 7.5}, "renew: renew (7.5 s) must be less than half of lease (15 s)"),
        ({"lock_timeout": 10}, "lock_timeout: lock_timeout (10 s) must be less than statement_timeout (10 s)"),
        ({"schema_name": "Watcher; DROP"}, "schema_name: expected up to 48 lowercase letters"),
        ({"schema_name": "pg_watcher"}, "schema_name: expected up to 48 lowercase letters"),
        ({"shards": 0}, "shards"),
    ],
)
def test_settings_that_cannot_be_used(values: dict[str, object], text: str) -> None:
    """Each limit is checked against the one that it depends on."""
    with pytest.raises(ValidationError) as mistake:
        PostgresStoreSettings.model_validate({"dsn": "dbname=watcher", **values})
    (error,) = mistake.value.errors()
    assert f"{error['loc'][0]}: {error.get('ctx', {}).get('error', '')}".startswith(text)


CONFIG = """sources: [{type: lines}]
sinks: [{type: jsonl}]
store: {type: postgres, dsn: "${DATABASE_URL}"}
"""


def test_config_show_masks_the_connection_string(tmp_path: Path) -> None:
    """Neither `config show` nor the text of the settings has it."""
    (tmp_path / "watcher.yaml").write_text(CONFIG)
    loaded = read(tmp_path / "watcher.yaml", {"DATABASE_URL": f"postgresql://user:{SECRET}@db/name"})
    store = loaded.settings.store
    assert SECRET not in f"{show(loaded)} {store!r} {store} {store.model_dump()} {store.model_dump_json()} {PostgresStore(store)!r}"
    assert f'dsn: "{MASK}"' in show(loaded)


def test_without_psycopg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where psycopg is not installed, the configuration has a mistake that says what to install."""
    (tmp_path / "watcher.yaml").write_text(CONFIG)
    for name in [name for name in sys.modules if name.split(".")[0] == "psycopg"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigMistakes) as mistakes:
        load(tmp_path / "watcher.yaml", {"DATABASE_URL": "dbname=watcher"})
    assert "store.dsn" in str(mistakes.value)
    assert "pip install 'psycopg[binary]>=3.3'" in str(mistakes.value)


# --- connections ---------------------------------------------------------------------------------


async def refused(settings: PostgresStoreSettings) -> StoreError:
    """The error with which a store does not open. Neither it nor a log shows the secret."""
    store = PostgresStore(settings)
    with pytest.raises(StoreError) as error:
        await store.open(["bus"])
    await store.close()
    assert SECRET not in "".join(traceback.format_exception(error.value))
    return error.value


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_a_server_that_is_not_there(logs: pytest.LogCaptureFixture) -> None:
    """The error names the host, the database and the reason, and is temporary."""
    settings = PostgresStoreSettings(dsn=f"postgresql://user:{SECRET}@127.0.0.1:1/name")  # type: ignore[arg-type]
    error = await refused(settings)
    assert isinstance(error, StoreUnavailable)
    assert str(error).startswith("PostgreSQL 127.0.0.1/name: cannot be reached (Connection refused)")
    assert SECRET not in logs.text


async def test_a_host_that_has_no_address() -> None:
    """The error names the host, and is temporary, because a name may be missing while a database fails over."""
    error = await refused(PostgresStoreSettings(dsn=f"postgresql://user:{SECRET}@no-such-host.invalid/name"))  # type: ignore[arg-type]
    assert isinstance(error, StoreUnavailable)
    assert "no-such-host.invalid/name: cannot be reached" in str(error)


@pytest.mark.process
async def test_a_database_that_is_not_there(postgres_server: PostgresServer) -> None:
    """The error says to create it."""
    error = await refused(PostgresStoreSettings(dsn=postgres_server.dsn.replace("/postgres?", "/nowhere?")))  # type: ignore[arg-type]
    assert isinstance(error, StoreRefused)
    assert "create it, with ENCODING 'UTF8'" in str(error)


@pytest.fixture(scope="module")
def guarded(postgres_server: PostgresServer) -> str:
    """The connection string of a user who must give the password `SECRET`, without it."""
    postgres_server.require_password("guarded", SECRET)
    return postgres_server.dsn.replace("postgres:@", "guarded@")


@pytest.mark.process
async def test_a_wrong_password(guarded: str, logs: pytest.LogCaptureFixture) -> None:
    """The error says that the server refused the password; it is final, and shows neither the password nor the string."""
    error = await refused(PostgresStoreSettings(dsn=guarded.replace("guarded@", f"guarded:not-{SECRET}@")))  # type: ignore[arg-type]
    assert isinstance(error, StoreRefused)
    assert PASSWORD in str(error)
    assert SECRET not in logs.text


@pytest.mark.process
async def test_no_password(guarded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where to set one, and one from the environment of libpq is used."""
    settings = PostgresStoreSettings(dsn=guarded)  # type: ignore[arg-type]
    assert "set store.password_file, or PGPASSWORD" in str(await refused(settings))
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert "the user lacks a permission" in str(await refused(settings))


@pytest.mark.process
async def test_a_user_without_permissions(guarded: str, tmp_path: Path) -> None:
    """A user who may not create the schema gets an error that says what to grant."""
    (tmp_path / "password").write_text(f"{SECRET}\n")
    error = await refused(PostgresStoreSettings(dsn=guarded, password_file=tmp_path / "password"))  # type: ignore[arg-type]
    assert isinstance(error, StoreRefused)
    assert "the user lacks a permission" in str(error)
    assert str(error).endswith("(42501)")


@pytest.mark.process
async def test_a_password_file_is_read_for_each_connection(guarded: str, database: Database, tmp_path: Path) -> None:
    """A missing file and an old password are temporary; after the file was replaced, the next call succeeds."""
    file = tmp_path / "password"
    database.server.execute(f"CREATE SCHEMA {database.schema} AUTHORIZATION guarded")
    store = PostgresStore(PostgresStoreSettings(dsn=guarded, schema_name=database.schema, password_file=file))  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="the password cannot be read: No such file"):
        await store.open(["bus"])
    file.write_text("old")
    with pytest.raises(StoreUnavailable, match="refused the user or the password"):
        await store.open(["bus"])
    file.write_text(SECRET)
    await store.open(["bus"])
    assert list(await store.admit([a_watch()])) == [a_watch()]
    await store.close()


@pytest.mark.process
async def test_a_server_that_never_answers(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts the connection and says nothing is given up, as one that cannot be reached."""
    monkeypatch.setattr("watcher.adapters.stores.postgres.connections.CONNECT_S", 2)  # the shortest that libpq knows
    async with Relay(database.server.socket) as relay:
        relay.hold()
        host, _, port = relay.url.removeprefix("http://").partition(":")
        error = await refused(PostgresStoreSettings(dsn=f"postgresql://postgres:{SECRET}@{host}:{port}/postgres"))  # type: ignore[arg-type]
    assert isinstance(error, StoreUnavailable)
    assert "cannot be reached" in str(error)
