"""The checks of `watcher doctor` that call AWS: the Region, the credentials, and this machine's clock."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from watcher.adapters.aws.identity import caller_identity, service_endpoint
from watcher.cli import exit_codes
from watcher.cli.check_result import CheckFailed, CheckSkipped, Finding, run_check
from watcher.core.hints import SKEW_S, hint
from watcher.errors import CredentialsRejected, RemoteError, Unavailable, Unreadable
from watcher.registry import AdapterContext


async def check_region(context: AdapterContext, service: str, *, advice: str = "set AWS_REGION to one of") -> str:
    """Check that the service is offered in the configured Region. `advice` is the hint before the names of the Regions."""
    endpoint = await service_endpoint(context.aws, service)
    if endpoint.region not in endpoint.offered:
        offered = ", ".join(endpoint.offered) or "none"
        seen = f"the installed SDK does not know {service} in {endpoint.region}"
        raise CheckFailed(seen, f"{advice} {offered}; a newer SDK may know more Regions")
    return f"{endpoint.region}, calls to {endpoint.host}"


async def check_identity(context: AdapterContext, services: Collection[str] = ()) -> list[Finding]:
    """Check the credentials, and compare this machine's clock with the date of the same reply.

    `services` are those that the configuration calls. If all of them are on loopback and STS is not, nothing is checked: the
    credentials are those of a simulator, and AWS cannot know them.
    """
    ahead_s: float | None = None

    async def credentials() -> str:
        nonlocal ahead_s
        if await all_on_loopback(context, services) and not await all_on_loopback(context, ("sts",)):
            raise CheckSkipped("no call goes to AWS: all endpoints are on this machine, so STS does not know the credentials")
        try:
            identity = await caller_identity(context.aws, context.clock)
        except CredentialsRejected as error:
            ahead_s = None if error.clock_skew_s is None else -error.clock_skew_s
            raise
        except (Unavailable, Unreadable) as error:
            sts = f"STS at {(await service_endpoint(context.aws, 'sts')).host}"
            raise CheckFailed(f"{sts}: {error}", f"{sts}: {hint(error)}", exit_codes.of_remote(error)) from None
        ahead_s = identity.ahead_s
        return f"account {identity.account}, {identity.name}"

    async def clock() -> str:
        if ahead_s is None:
            raise CheckSkipped("no reply from AWS to compare the clock with")
        if abs(ahead_s) >= SKEW_S:
            raise CheckFailed(f"{ahead_s:+.0f} s off", "correct the clock of this machine: AWS rejects signatures from 5 min off")
        return f"within {max(1.0, abs(ahead_s)):.0f} s of the clock of AWS"

    return [await run_check("credentials", credentials), await run_check("clock", clock)]


async def all_on_loopback(context: AdapterContext, services: Collection[str]) -> bool:
    """Whether these services, at least one, all have an endpoint on this machine. False where the setup names no endpoint."""
    try:
        hosts = [(await service_endpoint(context.aws, service)).host for service in services]
    except RemoteError:
        return False  # the call reports what is wrong
    return bool(hosts) and all(map(_is_loopback, hosts))


def _is_loopback(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
