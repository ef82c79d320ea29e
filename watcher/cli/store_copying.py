"""The stores of `watcher store copy`, from its arguments, and its progress on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.adapters.aws.session import AwsClients
from watcher.cli.event_loop import run
from watcher.cli.options import SUFFIXES
from watcher.cli.tables import sentence
from watcher.config import read_sections
from watcher.core.copying.fingerprint import Fingerprint
from watcher.errors import ConfigMistakes, StoreError, StoreRefused
from watcher.registry import STORES, AdapterContext
from watcher.runtime.store_copy import copy_store, survey
from watcher.section import Section, local_file

if TYPE_CHECKING:
    from watcher.ports import PortableStore

LINES = 10
"""Lines of progress in one pass over a store, where stderr is no terminal."""
CLEAR = "\r\x1b[K"
"""Goes to the beginning of the line of a terminal, and erases it."""


class StoreCopying:
    """A source, which is a SQLite file or the store of a configuration, and the target of a configuration. Raises ConfigMistakes."""

    def __init__(self, source: Path, config: Path) -> None:
        self._source = _store_of(source) if source.suffix in SUFFIXES else STORES["sqlite"].settings.model_validate({"path": str(source)})
        self._target = _store_of(config)
        if _is_same(self._source, self._target):
            raise click.BadParameter(f"{source} is the store of {config} itself", param_hint="--from")
        self._config = config
        self._progress = _Progress()

    def survey(self) -> Fingerprint:
        """Read the source. Returns what a copy would have."""

        async def work() -> Fingerprint:
            async with _opened("source", self._source, lambda store: store.attach_alone()) as source:
                return await survey(source, 1, "reading the source", self._progress.report)

        return self._run(work)

    def copy(self) -> Fingerprint:
        """Copy the source into the target. Returns what was copied."""
        return self._run(self._copy)

    async def _copy(self) -> Fingerprint:
        async with (
            _opened("source", self._source, lambda store: store.attach_alone()) as source,
            _opened("target", self._target, lambda store: store.open_target()) as target,
        ):
            if not target.durable:
                raise ConfigMistakes([f"{self._config}: store keeps nothing when the process ends: set store.type and a file or a server"])
            return await copy_store(source, target, self._progress.report)

    def _run(self, work: Callable[[], Awaitable[Fingerprint]]) -> Fingerprint:
        try:
            return run(work)
        except StoreRefused:
            raise
        except BaseException:
            self._progress.end()
            if self._progress.has_written:
                sentence("The copy is not complete. Run the same command again to continue.", err=True)
            raise
        finally:
            self._progress.end()


class _Progress:
    """How far the passes over the stores got: one line that changes on a terminal, and a few lines elsewhere."""

    def __init__(self) -> None:
        self.has_written = False
        """A part of the copy is in the target."""
        self._doing = ""
        self._tenths = 0
        self._terminal = sys.stderr.isatty()
        self._unfinished = False
        """The line on the terminal has no end yet."""

    def report(self, doing: str, done: int, of: int | None) -> None:
        """As `store_copy.Report`."""
        self.has_written = self.has_written or doing == "copying"
        text = f"{doing}: {done:,}{'' if of is None else f' of {of:,}'}"
        if self._terminal:
            click.echo(CLEAR + text, err=True, nl=False)
            self._unfinished = True
            return
        tenths = done // 100_000 if not of else LINES * done // of
        if doing != self._doing or tenths > self._tenths:
            click.echo(text, err=True)
        self._doing, self._tenths = doing, tenths

    def end(self) -> None:
        """End the line on the terminal."""
        if self._unfinished:
            click.echo(CLEAR, err=True, nl=False)
            self._unfinished = False


@asynccontextmanager
async def _opened(which: str, settings: Section, opening: Callable[[PortableStore], Awaitable[None]]) -> AsyncIterator[PortableStore]:
    """Open a store, and close it at the end. A refusal says which of the two it is."""
    aws = AwsClients()
    store: PortableStore = STORES[settings.type].build(settings, AdapterContext(aws, time.time))  # type: ignore[attr-defined]  # each has one
    try:
        try:
            await opening(store)
        except StoreError as error:
            raise type(error)(f"the {which}: {error}") from error
        yield store
    finally:
        await store.close()
        await aws.close()


def _store_of(config: Path) -> Section:
    store: Section = read_sections(config, os.environ, ("store",)).store
    return store


def _is_same(source: Section, target: Section) -> bool:
    files = [local_file(source), local_file(target)]
    return source == target or (all(files) and os.path.realpath(str(files[0])) == os.path.realpath(str(files[1])))
