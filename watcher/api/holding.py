"""What a route may ask of the connection that its request came over: more time, because its reply takes long on purpose."""

from __future__ import annotations

from typing import Protocol

from fastapi import Request

SCOPE_KEY = "watcher.connection"
"""Where the server puts the connection into the scope of a request."""


class HeldConnection(Protocol):
    """A connection of `watcher.api.connections`."""

    cut_off: bool
    """It was closed because its client did not read."""

    def hold(self, seconds: float | None, *, follows: bool) -> None:
        """Let the reply begin and be sent within this time; None: it is a stream, which may last, and only one write of it may not.

        `follows`: the client waits for events, and is not disconnected for another one.
        """
        ...


def hold(request: Request, seconds: float | None, *, follows: bool = False) -> HeldConnection | None:
    """Allow the reply to this request to take so long, in seconds; None for a stream. Another server may have no such limit."""
    connection: HeldConnection | None = request.scope.get(SCOPE_KEY)
    if connection is not None:
        connection.hold(seconds, follows=follows)
    return connection
