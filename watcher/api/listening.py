"""Binds the sockets of the HTTP API: on every address that its host stands for, over IPv4 and IPv6."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

import anyio

MAX_PORT = 65_535
_ALL = ("", "::")
"""The hosts that mean all addresses of this machine."""
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets, all on the same port; for port 0 the system chooses it. Raises OSError, OverflowError.

    An address of the host that this machine does not have is left out, as long as another one remains.
    """
    if not 0 <= port <= MAX_PORT:  # the resolver would take it modulo 65,536
        raise OverflowError(port)
    if host in _ALL and socket.has_dualstack_ipv6():
        return [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)]
    found = await anyio.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)  # noqa: S104 - the user configured it
    return _bind_each(list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)), port)


def _bind_each(addresses: Sequence[tuple[socket.AddressFamily, str]], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for n, (family, address) in enumerate(addresses, 1):
            try:
                sockets.append(socket.create_server((address, port), family=family))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS or (n == len(addresses) and not sockets):
                    raise
            else:
                port = sockets[0].getsockname()[1]
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    return sockets
