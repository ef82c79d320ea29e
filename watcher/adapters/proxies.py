"""The proxy for a URL, from the environment variables that other HTTP clients read too.

The first of `https_proxy` or `http_proxy` (by the scheme of the URL) and `all_proxy` that is set names the proxy;
lowercase names come first. `no_proxy` lists hosts, domains, addresses, and networks that are reached directly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from watcher.errors import ConfigMistakes

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SEPARATOR = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it. The URL may contain credentials: show only `place`."""

    variable: str
    url: str

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for a valid http or https URL, None if it is reached directly.

    Raises ConfigMistakes, with the name of the variable but not its value, if the proxy cannot be used.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    named = next(((name, value) for name in (f"{parts.scheme}_proxy", "all_proxy") if (value := _value(environ, name))), None)
    if named is None or _is_direct(parts.scheme, host, port, _value(environ, "no_proxy")):
        return None
    variable = named[0] if named[0] in environ else named[0].upper()
    proxy = Proxy(variable, named[1] if "://" in named[1] else f"http://{named[1]}")
    if what := _problem(proxy):
        raise ConfigMistakes([f"environment: {variable}: {what}; or add {host} to NO_PROXY"])
    return proxy


def _value(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(name.upper(), "")).strip()


def _problem(proxy: Proxy) -> str | None:
    """Return what is wrong with a proxy and what to do, without repeating its URL."""
    try:
        parts = urlsplit(proxy.url)
        usable = bool(parts.hostname) and parts.port != 0 and proxy.url.isprintable() and " " not in proxy.url
    except ValueError:
        usable = False
    if not usable:
        return "is not the URL of a proxy; set it to a URL such as http://proxy.example.com:3128"
    if parts.scheme.startswith("socks") and (parts.scheme not in _PORTS or find_spec("socksio") is None):
        return "SOCKS proxies are not supported; set HTTPS_PROXY and HTTP_PROXY to the http:// URL of a proxy"
    if parts.scheme not in _PORTS:
        return "expected a URL that starts with http:// or https://"
    return None


def _is_direct(scheme: str, host: str, port: int, no_proxy: str) -> bool:
    entries = [entry for entry in _SEPARATOR.split(no_proxy.lower()) if entry]
    return any(entry == "*" or _matches(entry, scheme, host.rstrip("."), port) for entry in entries)


def _matches(entry: str, scheme: str, host: str, port: int) -> bool:
    """Whether an entry of `no_proxy` names this host. An entry of an unknown form names none."""
    wanted_scheme, separator, rest = entry.rpartition("://")
    if separator and wanted_scheme not in ("all", scheme):
        return False
    if (network := _network(rest)) is not None:
        address = _address(host)
        return address is not None and address in network  # False for the other version of IP
    name, wanted_port = _host_and_port(rest)
    if wanted_port not in (None, str(port)):
        return False
    if _address(name) is not None:
        return _address(name) == _address(host)
    name = name.rstrip(".").removeprefix("*")
    return host == name or host.endswith(name if name.startswith(".") else f".{name}") if name.strip(".") else False


def _host_and_port(text: str) -> tuple[str, str | None]:
    """Split `host`, `host:port`, `[v6]`, `[v6]:port`; an IPv6 address without brackets has no port."""
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        return name, rest.removeprefix(":") or None
    if text.count(":") == 1:
        name, _, port = text.partition(":")
        return name, port
    return text, None


def _network(text: str) -> IPv4Network | IPv6Network | None:
    if "/" not in text:
        return None
    try:
        return ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
