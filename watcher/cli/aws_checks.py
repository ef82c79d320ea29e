"""The checks of `watcher doctor` that call AWS: the Region, the credentials, and this machine's clock."""

from __future__ import annotations

from watcher.adapters.aws.identity import caller_identity, service_endpoint
from watcher.cli.check_result import CheckFailed, CheckSkipped, Finding, run_check
from watcher.core.hints import SKEW_S
from watcher.errors import CredentialsRejected
from watcher.registry import AdapterContext


async def check_region(context: AdapterContext, service: str) -> str:
    """Check that the service is offered in the configured Region."""
    endpoint = await service_endpoint(context.aws, service)
    if endpoint.region not in endpoint.offered:
        offered = ", ".join(endpoint.offered) or "none"
        seen = f"the installed SDK does not know {service} in {endpoint.region}"
        raise CheckFailed(seen, f"set AWS_REGION to one of {offered}; a newer SDK may know more Regions")
    return f"{endpoint.region}, calls to {endpoint.host}"


async def check_identity(context: AdapterContext) -> list[Finding]:
    """Check the credentials, and compare this machine's clock with the date of the same reply."""
    ahead_s: float | None = None

    async def credentials() -> str:
        nonlocal ahead_s
        try:
            identity = await caller_identity(context.aws, context.clock)
        except CredentialsRejected as error:
            ahead_s = None if error.clock_skew_s is None else -error.clock_skew_s
            raise
        ahead_s = identity.ahead_s
        return f"account {identity.account}, {identity.name}"

    async def clock() -> str:
        if ahead_s is None:
            raise CheckSkipped("no reply from AWS to compare the clock with")
        if abs(ahead_s) >= SKEW_S:
            raise CheckFailed(f"{ahead_s:+.0f} s off", "correct the clock of this machine: AWS rejects signatures from 5 min off")
        return f"within {max(1.0, abs(ahead_s)):.0f} s of the clock of AWS"

    return [await run_check("credentials", credentials), await run_check("clock", clock)]
