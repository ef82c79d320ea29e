"""Access to the HTTP API of a running watcher, for commands with `--url`, as `store_access.py` is for its store."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

from watcher.cli.options import TOKEN_VARIABLE, Server
from watcher.cli.tables import sentence

if TYPE_CHECKING:
    from watcher.adapters.api_client import WatcherApi
    from watcher.kinds.catalog import Catalog

T = TypeVar("T")
J = TypeVar("J")

MAX_TOKEN = 4096
"""Bytes of a token file. A larger one is the wrong file."""


class ServerAccess:
    """The API of one watcher. Reads the token when it connects. Warns if it sends the token in plain text to another machine."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._warned = False

    @property
    def catalog(self) -> Catalog:
        """The shipped kinds. Those of the configuration of the server are not known here."""
        from watcher.kinds.catalog import builtin_catalog

        return builtin_catalog()

    def key_of(self, text: str) -> str:
        """Return the key of a task. Raises InvalidInput for a text that names no task.

        The server is asked for its kinds if the text can be the key of a task whose kind does not ship with the watcher.
        Prints a warning on stderr for a text that seems to name a kind that does not exist.
        """
        from watcher.cli.kind_catalog import warn_of_misread_kinds
        from watcher.cli.target_scopes import targets_of
        from watcher.core.intake.references import is_key_or_arn, parse_ref

        parts = text.strip().split("/")
        if len(parts) > 1 and not is_key_or_arn(text, self.catalog) and not {*parts[:2]}.isdisjoint(self.run(_kinds_of)):
            return text.strip()
        key = parse_ref(text, self.catalog, targets_of(None, None, others=True)).key
        warn_of_misread_kinds([text], self.catalog)
        return key

    def run(self, work: Callable[[WatcherApi], Awaitable[T]]) -> T:
        """Open a connection, run `work` on it, and close it. Raises ApiError."""
        from watcher.cli.event_loop import run

        return run(partial(self._connected, work))

    def read(self, value: J, read: Callable[[J], T]) -> T:
        """Return the result of `read` for a JSON value of the API. Raises ApiError if the value does not have the expected shape."""
        from watcher.errors import ApiError

        try:
            return read(value)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ApiError("foreign", f"{self.server.url}: the reply has an unknown shape ({type(error).__name__}: {error})") from error

    def token(self) -> str | None:
        """Read the token file, at each connection, because it can be replaced. Raises a usage error without the content."""
        file = self.server.token_file
        if file is None:
            return None
        self._warn()
        return _read_token(file)

    async def _connected(self, work: Callable[[WatcherApi], Awaitable[T]]) -> T:
        from watcher.adapters.api_client import open_api

        async with open_api(self.server.url, self.token()) as api:
            return await work(api)

    def _warn(self) -> None:
        from watcher.adapters.api_client import is_loopback

        parts = urlsplit(self.server.url)
        if parts.scheme == "http" and not is_loopback(self.server.url) and not self._warned:
            self._warned = True
            what = f"Warning: the token is sent to {parts.hostname} in plain text, which others on the network can read; use https://"
            sentence(what, err=True)


async def _kinds_of(api: WatcherApi) -> Collection[str]:
    """The names of the kinds of a server; none if it does not say: the next request finds out why."""
    from watcher.errors import ApiError

    try:
        kinds = (await api.get("/v1/overview")).get("kinds")
    except ApiError:
        return ()
    return kinds if isinstance(kinds, dict) else ()


def _read_token(file: Path) -> str:
    name = "--token-file" if str(file) != os.environ.get(TOKEN_VARIABLE) else TOKEN_VARIABLE
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_TOKEN + 1)
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint=name) from None
    text = content.strip().decode("latin-1")
    if not text or len(content) > MAX_TOKEN or not all("!" <= character <= "~" for character in text):
        raise click.BadParameter(f"{file} has no token: expected one line of printable ASCII without spaces", param_hint=name)
    return text
