"""The clients of targets: other Regions, and other accounts by a role that is assumed with the watcher's own credentials.

The SDK renews the credentials of a role a quarter of an hour before they expire, one call at a time, while the other calls
use the old ones. All clients of a target share them. No retries and no logs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from watcher.adapters.aws.errors import reply_status
from watcher.adapters.aws.sdk import HELPER_SHARE
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.settings import TargetSettings
from watcher.errors import RemoteError


def target_clients(targets: Iterable[TargetSettings], source: AwsClients) -> Mapping[str, AwsClients]:
    """Return the clients of each target by its name. `source` has the credentials that assume the roles. Creates nothing yet.

    A target without a role has a session that reads the watcher's own credentials, as that of `source` does.
    """
    return {target.name: source.for_target(target, None if target.role_arn is None else RoleResolver(target, source)) for target in targets}


class RoleResolver:
    """The source of the credentials of a role. Register it as the component `credential_provider` of a session."""

    def __init__(self, target: TargetSettings, source: AwsClients) -> None:
        self._target = target
        self._source = source

    async def load_credentials(self) -> Any:
        """The credentials of the role. They are fetched when they are first used."""
        from aiobotocore.credentials import AioDeferredRefreshableCredentials

        from watcher.adapters.aws.credentials import CheckedCredentials  # with the SDK, which the session has loaded by now

        return CheckedCredentials(AioDeferredRefreshableCredentials(self._assume_role, "assume-role"))

    async def _assume_role(self) -> dict[str, Any]:
        """Make one call to STS. Its error is one of the setup of this target: never a denial of a task."""
        role = {"RoleArn": self._target.role_arn, "RoleSessionName": self._target.session_name}
        if self._target.external_id is not None:
            role["ExternalId"] = self._target.external_id
        try:
            reply = await self._source.call("sts", "assume_role", role, deadline=HELPER_SHARE * self._source.call_deadline)
        except RemoteError as error:
            error.add_detail(f"sts:AssumeRole of {self._target.role_arn} for the target {self._target.name}")
            raise
        finally:
            reply_status.set(None)  # that of STS says nothing about the call for which these credentials are
        fetched = reply["Credentials"]
        return {
            "access_key": fetched["AccessKeyId"],
            "secret_key": fetched["SecretAccessKey"],
            "token": fetched["SessionToken"],
            "expiry_time": fetched["Expiration"].isoformat(),
            "account_id": self._target.account,
        }
