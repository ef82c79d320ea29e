"""The checks of `watcher doctor` of sources, sinks, the store and the API port."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from watcher.adapters.stores.sqlite.owner import has_owner
from watcher.api.access import TokenFileError, is_loopback, read_clients
from watcher.api.listening import listen
from watcher.cli import exit_codes
from watcher.cli.check_result import Check, CheckFailed, CheckSkipped
from watcher.cli.tables import counted
from watcher.config import Settings
from watcher.core.delivery.leftovers import check_same_sinks
from watcher.errors import StoreNotPrepared
from watcher.model import Leftover
from watcher.queries.removed_sinks import removed_sinks
from watcher.registry import SINKS, STORES, AdapterContext, AdapterType
from watcher.section import local_file

if TYPE_CHECKING:
    from watcher.ports import Store

MIN_FREE_BYTES = 4 * 1024 * 1024
"""The least free space on the disk of a file that the watcher writes: about what the write-ahead log of SQLite needs."""


def check_adapter(settings: Any, table: Mapping[str, AdapterType], context: AdapterContext) -> Check:
    """Return the check of a source or a sink: the adapter's own, unless opening it would create or disturb a file."""

    async def check() -> str:
        path = local_file(settings) or "-"
        if path != "-" and table is SINKS:
            await anyio.to_thread.run_sync(_check_space, Path(path))
        untouched = None if path == "-" else await anyio.to_thread.run_sync(_leave_alone, Path(path), table is SINKS)
        if untouched is not None:
            return untouched
        adapter = table[settings.type].build(settings, context)
        try:
            await adapter.open()
            return str(await adapter.check())
        finally:
            await adapter.close()

    return check


async def check_store(settings: Settings, context: AdapterContext) -> str:
    """Check that the store can be read, and report its backlog and whether a watcher runs on it."""
    path = local_file(settings.store)
    if path == ":memory:" or settings.store.type == "memory":
        return "in memory: an input is acknowledged when the last event of its tasks was delivered"
    if path is not None:
        await anyio.to_thread.run_sync(_check_space, Path(path))
        if untouched := await anyio.to_thread.run_sync(_leave_alone, Path(path), True):
            return untouched
    store: Store = STORES[settings.store.type].build(settings.store, context)
    try:
        await store.attach()
        backlog = (await store.backlog()).items()
        waiting = [f"{counted(sink.events, 'event')} not delivered to {name}" for name, sink in backlog if sink.events]
        sinks = {sink.name for sink in settings.sinks}
        check_same_sinks([name for name, _ in backlog], sinks, [replica.name for replica in await store.replicas()])
        removed = await removed_sinks(store, sinks)
        if removed:
            raise _with_removed(removed)
        seen = await store.check() if path is None else f"{path}: {await store.check()}"
        return ", ".join([seen, await _users(store, path), *waiting])
    except StoreNotPrepared as error:  # watcher run prepares it
        return str(error)
    finally:
        await store.close()


async def _users(store: Store, path: str | None) -> str:
    """Which watchers run on a store: at most one on a file, and any number on a server."""
    if path is not None:
        return "a watcher runs on it" if has_owner(path) else "no watcher runs on it"
    return f"{counted(len(await store.replicas()), 'replica')} on it"


def _with_removed(removed: Mapping[str, Leftover]) -> CheckFailed:
    """The failure of a store that has events for sinks that are not configured: watcher run fails with it."""
    seen = "; ".join(f"{left} for the sink {name}, which is not configured" for name, left in removed.items())
    options = " ".join(f"--drop-sink {name}" for name in removed)
    return CheckFailed(seen, f"configure it again under this name, or erase them: watcher run {options}")


async def check_port(settings: Settings, running: bool) -> str:
    """Check that the API port is free, or in use by the watcher, if one is `running`."""
    if settings.api.listen is None:
        raise CheckSkipped("api.listen is not set, so there is no HTTP API")
    host, _, port = settings.api.listen.rpartition(":")
    try:
        for bound in await listen(host.strip("[]"), int(port)):
            bound.close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE and running:
            one = local_file(settings.store) is not None
            return f"{settings.api.listen} is in use, and a watcher runs{'' if one else '; another one on this machine needs its own port'}"
        advice = "stop the process that uses the address, or choose another api.listen"
        raise CheckFailed(f"{settings.api.listen}: {os.strerror(error.errno or 0)}", advice) from None
    return f"{settings.api.listen} is free"


async def check_tokens(settings: Settings) -> str:
    """Check that each token of the API can be read. Without tokens, say who can use the API."""
    if not settings.api.tokens:
        host = str(settings.api.listen).rpartition(":")[0].strip("[]")
        if is_loopback(host):
            return "none: any program on this machine can use /v1"
        return "none: /v1 replies 401 to every request, because api.listen is not a loopback address; health and metrics work"
    try:
        clients = read_clients(settings.api.tokens)
    except TokenFileError as error:
        raise CheckFailed(str(error), "write a token of at least 16 characters into the file, or correct token_file") from None
    return ", ".join(f"{client.name} ({client.role})" for client in clients)


def _check_space(path: Path) -> None:
    """Check that the disk of a file has space for writes. A quota of the user cannot be seen here, only by writing."""
    if path.exists() and not path.is_file():
        return
    try:
        free = shutil.disk_usage(path.resolve().parent).free
    except OSError:
        return  # the check of the file itself says what is wrong with its directory
    if free < MIN_FREE_BYTES:
        seen = f"{path}: {free // 1024} KiB are free on its disk"
        raise CheckFailed(seen, "free space on the disk: the watcher cannot write there", exit_codes.UNAVAILABLE)


def _leave_alone(path: Path, creates: bool) -> str | None:
    """Return what is known of a file that opening would create, or of a pipe whose other end would notice; None for any other file."""
    if creates and not path.exists():
        return _missing(path)
    return f"{path}: a named pipe, not opened" if path.is_fifo() else None


def _missing(path: Path) -> str:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        advice = f"create the directory {path.parent.absolute()}, writable for this user"
        raise CheckFailed(f"{path}: does not exist and cannot be created", advice)
    return f"{path}: does not exist yet; its directory is writable"
