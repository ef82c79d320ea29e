"""An HTTP client for one URL: one attempt, no redirects, no cookies, and no long wait for the body of a reply.

httpx is imported when it is used: that takes a tenth of a second. Proxies and certificates are found here and not by
httpx, which fails at the creation of a client for some values of NO_PROXY and ALL_PROXY.
"""

from __future__ import annotations

import os
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
from anyio import to_thread

from watcher import __version__
from watcher.adapters.certificates import webhook_mistakes
from watcher.adapters.proxies import proxy_for
from watcher.errors import ConfigMistakes, Unavailable

if TYPE_CHECKING:
    import ssl

    import httpx

USER_AGENT = f"watcher/{__version__}"
MAX_REPLY = 64 * 1024
"""Bytes read of the body of a reply, so that its connection can be reused. The content is ignored."""
MAX_BODY_S = 1.0
"""Seconds for which that body is read. After them the connection is closed, which is the only effect."""


def new_client(url: str, connections: int, *, direct: bool = False) -> httpx.AsyncClient:
    """Return a client for requests to this URL. Call it in a worker thread: it imports httpx and loads certificates.

    `direct`: without a proxy, even if the environment names one.

    Raises ConfigMistakes if the environment names a proxy or certificates that cannot be used.
    """
    import httpx

    context, proxy = _trusted(), None if direct else proxy_for(url, os.environ)
    try:
        tls = context if proxy is not None and proxy.url.startswith("https:") else None
        via = None if proxy is None else httpx.Proxy(proxy.url, ssl_context=tls)
    except (httpx.InvalidURL, ValueError):
        raise ConfigMistakes([f"environment: {proxy.variable if proxy else ''}: is not the URL of a proxy"]) from None
    return httpx.AsyncClient(
        timeout=None,  # noqa: S113 - the caller sets a deadline for the whole request
        limits=httpx.Limits(max_connections=connections),
        follow_redirects=False,
        verify=context,
        proxy=via,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a receiver must not make two requests depend on each other
        headers={"user-agent": USER_AGENT},
    )


async def skip_body(reply: httpx.Response) -> None:
    """Read the body of a reply up to its end, `MAX_REPLY`, or for `MAX_BODY_S`, whichever comes first."""
    size = 0
    with anyio.move_on_after(MAX_BODY_S):
        async for chunk in reply.aiter_raw():
            size += len(chunk)
            if size > MAX_REPLY:
                break


async def check_connection(url: str, timeout_s: float) -> str:
    """Open a connection for this URL, to the proxy if there is one, close it, and say what accepted it. Raises Unavailable."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    proxy = proxy_for(url, os.environ)
    if proxy is not None:
        (host, port), tls = proxy.place, proxy.url.startswith("https:")
    place = f"{host}:{port}" if proxy is None else f"the proxy {host}:{port} of {proxy.variable}"
    try:
        with anyio.fail_after(timeout_s):
            await _connect(host, port, await to_thread.run_sync(_trusted) if tls else None)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise Unavailable(error_code(error), place) from None
    return f"{place} accepts connections{' with TLS' if tls else ''}"


def error_code(error: Exception) -> str:
    """Return the type of the error: its text could contain parts of the request."""
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__


def _trusted() -> ssl.SSLContext:
    """Return a context with the certificates of SSL_CERT_FILE, SSL_CERT_DIR, or certifi."""
    import httpx

    if mistakes := list(webhook_mistakes(os.environ)):
        raise ConfigMistakes(mistakes)
    return httpx.create_ssl_context()


async def _connect(host: str, port: int, context: ssl.SSLContext | None) -> None:
    if context is not None:
        await (await anyio.connect_tcp(host, port, tls=True, ssl_context=context, tls_standard_compatible=False)).aclose()
    else:
        await (await anyio.connect_tcp(host, port)).aclose()
