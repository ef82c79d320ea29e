"""Shared by the tests of the SQLite store: opening it, and other processes beside it."""

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
from tests.contracts.store_exam.facts import a_watch, commit, forget, leases, moved, unsettled
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
    """The reason why the file is refused; the text names its path."""
    with pytest.raises(StoreRefused) as refusal:
        async with owned(path):
            pass
    assert str(path) in str(refusal.value)
    return str(refusal.value)


@contextlib.contextmanager
def another_program(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another Python process, with the store's path as its argument. It ends with the block."""
    code = _PRELUDE + textwrap.dedent(script)
    with process([PYTHON, "-c", code, path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as program:
        yield program


def an_error(code: str) -> sqlite3.OperationalError:
    """As SQLite raises it."""
    error = sqlite3.OperationalError("text that no code reads")
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, code), code
    return error
