"""Asks the watcher that runs with a configuration whether it is ready, for `watcher doctor`. Changes nothing."""

from __future__ import annotations

from typing import Any

import anyio

from watcher.adapters.stores.sqlite.owner import has_owner
from watcher.cli import exit_codes
from watcher.cli.check_result import CheckFailed, CheckSkipped
from watcher.config import Settings
from watcher.section import local_file

READY_S = 3.0
"""The longest time for the answer, in seconds. The watcher computes it without a call."""
_REACHABLE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


async def is_running_with_api(settings: Settings) -> bool:
    """Whether a watcher runs with this configuration, and has an HTTP API.

    The owner of a file is known without asking. A server has replicas on many machines: there, the one that answers at the
    port runs on this machine.
    """
    listen = settings.api.listen
    if listen is None:
        return False
    if (path := local_file(settings.store)) is not None:
        return has_owner(path)
    try:
        await _components(_url(listen))
    except CheckFailed:
        return False
    return True


async def check_ready(listen: str) -> str:
    """Check that the watcher with this `api.listen` is ready. Fails with the components that do not work and their hints."""
    url = _url(listen)
    if listen.endswith(":0"):
        raise CheckSkipped("api.listen has port 0, so the port of the running watcher is unknown")
    components = await _components(url)
    failing = {name: each for name, each in components.items() if not each["ok"]}
    if failing:
        seen = "; ".join(f"{name}: {each['reason']}" for name, each in failing.items())
        advice = "; ".join(f"{name}: {each['hint']}" for name, each in failing.items())
        raise CheckFailed(f"{url}: not ready: {seen}", advice, exit_codes.UNAVAILABLE)
    return f"{url}: ready"


def _url(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    host = _REACHABLE.get(host.strip("[]"), host.strip("[]"))
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"


async def _components(url: str) -> dict[str, Any]:
    """The condition of each component, directly from the process and through no proxy."""
    import httpx

    try:
        with anyio.fail_after(READY_S):
            async with httpx.AsyncClient(trust_env=False, timeout=None) as client:  # noqa: S113 - the limit is above
                body = (await client.get(url)).json()
        return {str(name): {"ok": each["ok"], "reason": each["reason"], "hint": each["hint"]} for name, each in body["components"].items()}
    except (httpx.HTTPError, TimeoutError, ValueError, TypeError, KeyError, AttributeError) as error:
        advice = "if the watcher runs with this api.listen, it hangs: see its log; else another process may use the address"
        raise CheckFailed(f"{url}: no answer of a watcher ({type(error).__name__})", advice, exit_codes.UNAVAILABLE) from None
