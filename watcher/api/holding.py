"""Lets a route extend the time limit of its connection, for a reply that takes long on purpose."""

from __future__ import annotations

from typing import Protocol

from fastapi import Request

SCOPE_KEY = "watcher.connection"
"""Where the server puts the connection into the scope of a request."""


class HeldConnection(Protocol):
    """A connection of `watcher.api.connections`."""

    unread: bool
    """Whether it was closed because its client did not read."""

    def hold(self, seconds: float | None, *, follows: bool) -> None:
        """Allow this time, in seconds, until the reply is sent. None: the reply is a stream, and only each write has a time limit.

        `follows`: the client is a reader, and its connection is not closed for a new one.
        """
        ...


def hold(request: Request, seconds: float | None, *, follows: bool = False) -> HeldConnection | None:
    """Allow the reply to this request to take this time, in seconds; None for a stream. Returns None on a server without such limits."""
    connection: HeldConnection | None = request.scope.get(SCOPE_KEY)
    if connection is not None:
        connection.hold(seconds, follows=follows)
    return connection
