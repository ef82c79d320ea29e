"""The checks of `watcher doctor` that make calls as the watcher will: about each kind, in the watcher's own account and in each target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from watcher.adapters.aws.identity import caller_identity
from watcher.adapters.aws.missing_task import needs_account
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.settings import TargetSettings
from watcher.cli import exit_codes
from watcher.cli.aws_checks import all_on_loopback, check_region
from watcher.cli.check_result import Check, CheckFailed, CheckSkipped
from watcher.core.hints import hint
from watcher.errors import CredentialsRejected, Invalid, RemoteError
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET
from watcher.registry import AdapterContext

_OTHER_API = frozenset({"InvalidAction", "MissingAction", "UnknownOperationException"})
"""Codes of an endpoint that does not have the call."""
_NOT_SENT = "ParamValidationError"
"""The code of a request that the SDK refuses to send."""
_NAME_KINDS = "name the kinds that you watch: watcher doctor --kind NAME"
_UNUSED = f"no kind is in use yet, so the default one was checked; if you watch other tasks, {_NAME_KINDS}"


@dataclass(frozen=True, slots=True)
class PolledTargets:
    """The calls about tasks, in all targets. `clients` has those of each target by its name."""

    probe: AwsProbe
    catalog: Catalog
    clients: Mapping[str, AwsClients]
    in_use: bool = True
    """Whether the checked kinds are known to be in use. If not, the result says so, and how to check others."""

    def name(self, kind: Kind) -> str:
        """The name of the check of a kind in the watcher's own account."""
        return "voice API" if kind is self.catalog.default else f"kind {kind.name}"

    def checks(self, target: TargetSettings, kinds: Sequence[Kind], context: AdapterContext) -> Iterator[tuple[str, Check, str | None]]:
        """The name of each check of a target, the check, and the title of the quota that it counts against."""
        own = AdapterContext(self.clients[target.name], context.clock)
        regions = "set region of this target to one of"
        yield f"target {target.name}: Region", self.check_region(own, kinds[0].service, regions), None
        yield f"target {target.name}: credentials", lambda: check_account(own, target, kinds), None
        for kind in kinds:
            yield f"target {target.name}: {self.name(kind)}", self.check(kind, target.name), kind.quota.title

    def check_region(self, context: AdapterContext, service: str, advice: str) -> Check:
        """The check of the Region. If it lacks a service that is not known to be in use, the hint says how to check others."""

        async def check() -> str:
            try:
                return await check_region(context, service, advice=advice)
            except CheckFailed as failure:
                if self.in_use:
                    raise
                raise CheckFailed(failure.seen, f"{failure.hint}; {_UNUSED}", failure.code) from None

        return check

    def check(self, kind: Kind, target: str = DEFAULT_TARGET) -> Check:
        """The check of a call about a task that cannot exist."""
        clients = self.clients[target]

        async def call() -> str:
            try:
                return await self.probe.check_kind(kind, target, account=await _account(clients) if needs_account(kind) else None)
            except Invalid as error:
                if kind is self.catalog.default or error.code in _OTHER_API:
                    raise
                if error.code == _NOT_SENT:
                    names = " and ".join(param.name for param in kind.params)
                    seen = f"no call: the SDK does not send a random {names}; set its example in the kind to a value in the right form"
                    raise CheckSkipped(seen) from None
                return f"answers; it rejects an id that cannot exist ({error.code}), so whether the call is permitted is not known"

        async def check() -> str:
            try:
                return await call() if self.in_use else f"{await call()}; no kind is in use yet: {_NAME_KINDS}"
            except RemoteError as error:
                if self.in_use or isinstance(error, CredentialsRejected):
                    raise
                advice = f"{hint(error, quota=kind.quota.title)}; {_UNUSED}"
                raise CheckFailed(str(error), advice, exit_codes.of_remote(error)) from None

        return check


async def _account(clients: AwsClients) -> str | None:
    """The account of these credentials. None if STS does not say: another check reports that."""
    try:
        return (await caller_identity(clients)).account
    except RemoteError:
        return None


async def check_account(context: AdapterContext, target: TargetSettings, kinds: Sequence[Kind]) -> str:
    """Check that the credentials of a target can be fetched, and that they are those of its account."""
    services = [kind.service for kind in kinds]
    if target.role_arn is None and await all_on_loopback(context, services) and not await all_on_loopback(context, ("sts",)):
        raise CheckSkipped("no call goes to AWS: all endpoints are on this machine, so STS does not know the credentials")
    identity = await caller_identity(context.aws, context.clock)
    if target.account not in (None, identity.account):
        raise CheckFailed(
            f"account {identity.account}, {identity.name}", f"the role is in account {target.account}: check the endpoint of STS"
        )
    return f"account {identity.account}, {identity.name}"
