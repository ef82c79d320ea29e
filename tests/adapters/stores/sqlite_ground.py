"""What the tests of the SQLite store share: opening it, and other programs beside it."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.process import PYTHON, process
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.errors import StoreRefused

_PRELUDE = """
import asyncio, os, sys
from dataclasses import replace
import anyio
from tests.adapters.stores.sqlite_ground import on, owned
from tests.contracts.store_exam import a_watch, everything, moved
from watcher.errors import StoreUnavailable
"""


def on(path: Path | str) -> SqliteStore:
    return SqliteStore(SqliteStoreSettings(path=str(path)))


@contextlib.asynccontextmanager
async def owned(path: Path | str) -> AsyncIterator[SqliteStore]:
    store = on(path)
    try:
        await store.open(["bus"])
        yield store
    finally:
        await store.close()


async def refused(path: Path) -> str:
    """Why the file is refused; the text names its path."""
    with pytest.raises(StoreRefused) as refusal:
        async with owned(path):
            pass
    assert str(path) in str(refusal.value)
    return str(refusal.value)


@contextlib.contextmanager
def another_program(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own with the store's path as its argument; ended when the block ends."""
    code = _PRELUDE + textwrap.dedent(script)
    with process([PYTHON, "-c", code, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as program:
        yield program


def an_error(code: str) -> sqlite3.OperationalError:
    """As SQLite would raise it."""
    error = sqlite3.OperationalError("text that nobody reads")
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, code), code
    return error
