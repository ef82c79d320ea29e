"""What `watcher doctor` looks at, each check by itself and within a time. They change nothing: no file is made, no pipe opened."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread

from watcher.adapters.aws.identity import caller_identity, service_endpoint
from watcher.adapters.aws.probe import AwsProbe
from watcher.cli import exit_codes
from watcher.cli.tables import counted
from watcher.config import Settings, read
from watcher.core.hints import SKEW_S, hint
from watcher.errors import ConfigMistakes, CredentialsRejected, RemoteError, StoreError
from watcher.kinds.catalog import builtin_catalog
from watcher.registry import SINKS, SOURCES, STORES, AdapterContext, AdapterType

PATIENCE_S = 10.0
"""For one check. All run at once, so the doctor is done in about as much."""
CALL_S = 8.0
"""For one call, so that it is the call that says what is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to. `code` is the exit code that a failure stands for."""

    check: str
    state: Literal["ok", "failed", "skipped"]
    seen: str
    hint: str = ""
    code: int = exit_codes.OK


Look = Callable[[], Awaitable[str]]
"""Returns what was seen. Raises what is wrong."""


class Wrong(Exception):
    """Something is not as it must be, and a person can mend it."""

    def __init__(self, seen: str, hint: str, code: int = exit_codes.CONFIG) -> None:
        super().__init__(seen)
        self.finding = (seen, hint, code)


class Skipped(Exception):
    """There is nothing to look at."""


def configuration(file: Path, environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """The settings as far as they can be used, and every mistake in them."""
    name = "configuration"
    try:
        settings = read(file, environ, paths=True).settings
    except ConfigMistakes as found:
        hint = "mend these lines; watcher config schema and config/full.yaml say what there is"
        findings = [Finding(name, "failed", mistake, hint, exit_codes.CONFIG) for mistake in found.mistakes]
    else:
        return settings, [
            Finding(name, "ok", f"{file}: {counted(len(settings.sources), 'source')}, {counted(len(settings.sinks), 'sink')}")
        ]
    try:
        return read(file, environ).settings, findings  # only files are missing: there is more to look at
    except ConfigMistakes:
        return None, findings


async def everything(settings: Settings, context: AdapterContext) -> list[Finding]:
    """All checks at once, in the order in which one would mend what they find."""
    catalog = builtin_catalog()
    kind = catalog.default
    probe = AwsProbe(context.aws, catalog, call_deadline=CALL_S, clock=context.clock)
    checks: list[Callable[[], Awaitable[list[Finding]]]] = [
        _one("Region", lambda: _region(context, kind.service)),
        lambda: identity(context),
        _one("voice API", probe.check, quota=kind.quota.title),
        *(_one(f"source {each.name}", _adapter(each, SOURCES, context)) for each in settings.sources),
        *(_one(f"sink {each.name}", _adapter(each, SINKS, context)) for each in settings.sinks),
        _one("store", lambda: _store(settings, context)),
        _one("API port", lambda: _port(settings)),
    ]
    found: dict[int, list[Finding]] = {}

    async def run(place: int) -> None:
        found[place] = await checks[place]()

    async with anyio.create_task_group() as tasks:
        for place in range(len(checks)):
            tasks.start_soon(run, place)
    return [finding for place in sorted(found) for finding in found[place]]


def _one(name: str, look: Look, *, quota: str | None = None) -> Callable[[], Awaitable[list[Finding]]]:
    async def run() -> list[Finding]:
        return [await bounded(name, look, quota=quota)]

    return run


async def bounded(name: str, look: Look, *, quota: str | None = None) -> Finding:
    """One look, within `PATIENCE_S`, as a finding."""
    try:
        with anyio.fail_after(PATIENCE_S):
            return Finding(name, "ok", await look())
    except Skipped as nothing:
        return Finding(name, "skipped", str(nothing))
    except Wrong as wrong:
        return Finding(name, "failed", *wrong.finding)
    except RemoteError as error:
        return Finding(name, "failed", str(error), hint(error, quota=quota), exit_codes.of(error))
    except StoreError as error:
        return Finding(name, "failed", str(error), "the watcher does not start with this store", exit_codes.UNAVAILABLE)
    except TimeoutError:
        return Finding(name, "failed", f"no answer within {PATIENCE_S:g} s", "is it within reach from here?", exit_codes.UNAVAILABLE)
    except OSError as error:
        return Finding(name, "failed", str(error), "mend the file, its directory or their permissions", exit_codes.UNAVAILABLE)


async def _region(context: AdapterContext, service: str) -> str:
    place = await service_endpoint(context.aws, service)
    if place.region not in place.offered:
        offered = ", ".join(place.offered) or "none"
        raise Wrong(f"{place.region} is not known to offer {service}", f"set AWS_REGION to one of {offered}; a newer SDK may know more")
    return f"{place.region}, calls to {place.host}"


async def identity(context: AdapterContext) -> list[Finding]:
    """Credentials, and the clock by the date of the same reply."""
    ahead: list[float | None] = []

    async def who() -> str:
        try:
            found = await caller_identity(context.aws, context.clock)
        except CredentialsRejected as error:
            ahead.append(None if error.clock_skew_s is None else -error.clock_skew_s)
            raise
        ahead.append(found.ahead_s)
        return f"account {found.account}, {found.name}"

    async def clock() -> str:
        if not ahead or ahead[0] is None:
            raise Skipped("no reply of AWS to compare it with")
        if abs(ahead[0]) >= SKEW_S:
            raise Wrong(f"{ahead[0]:+.0f} s off", "set this machine's clock right: AWS refuses signatures that are 5 min off")
        return f"within {max(1.0, abs(ahead[0])):.0f} s of AWS's"

    return [await bounded("credentials", who), await bounded("clock", clock)]


def _adapter(settings: Any, table: Mapping[str, AdapterType], context: AdapterContext) -> Look:
    """A source or a sink: its own check, unless that would touch a file that somebody else waits for."""

    async def look() -> str:
        path = getattr(settings, "path", "-")
        alone = None if path == "-" else await anyio.to_thread.run_sync(_left_alone, Path(path), table is SINKS)
        if alone is not None:
            return alone
        adapter = table[settings.type].build(settings, context)
        try:
            await adapter.open()
            return str(await adapter.check())
        finally:
            await adapter.close()

    return look


def _left_alone(path: Path, makes: bool) -> str | None:
    """What is seen of a file that opening would make, or of a pipe whose other end would notice. None: it can be opened."""
    if makes and not path.exists():
        return _absent(path)
    return f"{path}: a named pipe, left alone" if path.is_fifo() else None


async def _store(settings: Settings, context: AdapterContext) -> str:
    path = getattr(settings.store, "path", None)
    if path in (None, ":memory:"):
        return "in memory: inputs are acknowledged when their last event was delivered"
    if absent := await anyio.to_thread.run_sync(_left_alone, Path(str(path)), True):
        return absent
    store = STORES[settings.store.type].build(settings.store, context)
    try:
        await store.attach()
        owed = [f"{waiting.events} events wait for {sink}" for sink, waiting in (await store.backlog()).items() if waiting.events]
        runs = "a watcher runs on it" if owned(str(path)) else "no watcher runs on it"
        return ", ".join([f"{path}: {await store.check()}", runs, *owed])
    finally:
        await store.close()


def _absent(path: Path) -> str:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Wrong(f"{path}: not there, and cannot be made", f"make the directory {path.parent.absolute()}, writable for this user")
    return f"{path}: not there yet; its directory can be written"


def owned(path: str) -> bool:
    """Whether a process holds the lock of this store. Shared and for a moment only, so that it keeps no watcher from starting."""
    try:
        file = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


async def _port(settings: Settings) -> str:
    if settings.api.listen is None:
        raise Skipped("api.listen is not set: no health, no metrics over HTTP")
    host, _, port = settings.api.listen.rpartition(":")
    found: Sequence[Any] = await anyio.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    try:
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE and owned(str(getattr(settings.store, "path", ""))):
            return f"{settings.api.listen} is in use, and a watcher runs"
        hint = "end what listens there, or choose another api.listen"
        raise Wrong(f"{settings.api.listen}: {os.strerror(error.errno or 0)}", hint) from None
    return f"{settings.api.listen} is free"
