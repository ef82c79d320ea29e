"""Access to the HTTP API of a running watcher, for commands with `--url`, as `store_access.py` is for its store."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import click

from watcher.cli.options import TOKEN_VARIABLE, Server
from watcher.cli.tables import sentence
from watcher.cli.target_scopes import targets_of

if TYPE_CHECKING:
    from watcher.adapters.api_client import WatcherApi
    from watcher.cli.server_kinds import ServerKinds

T = TypeVar("T")
J = TypeVar("J")

MAX_TOKEN = 4096
"""Bytes of a token file. A larger one is the wrong file."""


class ServerAccess:
    """The API of one watcher. Reads the token when it connects. Warns if it sends the token in plain text to another machine."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._warned = False

    @cached_property
    def kinds(self) -> ServerKinds:
        """The kinds and the targets of the server, which is asked at the first use. Raises ApiError."""
        from watcher.cli.server_kinds import fetch_kinds, read_kinds

        return self.read(self.run(fetch_kinds), read_kinds)

    def key_of(self, text: str) -> str:
        """Return the key of a task, whose target may not be configured any more. Raises InvalidInput for a text that names no task.

        Prints a warning on stderr for a text that seems to name a kind that does not exist.
        """
        from watcher.cli.kind_catalog import catalog_for, warn_of_misread_kinds
        from watcher.core.intake.references import is_key_or_arn, parse_ref

        shipped = catalog_for(None)
        names_shipped = text.strip().partition("/")[0] in shipped and "arn:" not in text
        if names_shipped and is_key_or_arn(text, shipped):  # every watcher reads it alike, so the server need not be asked
            return parse_ref(text, shipped, targets_of(None, None, others=True)).key
        key = parse_ref(text, self.kinds.catalog, self.kinds.targets(others=True)).key
        warn_of_misread_kinds([text], self.kinds.catalog)
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
