"""The clients of targets: other Regions, and other accounts by a role that is assumed with the watcher's own credentials.

The SDK renews the credentials of a role a quarter of an hour before they expire, one call at a time, while the other calls
use the old ones. All clients of a target share them. No retries and no logs here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiobotocore.credentials import AioCredentials, AioDeferredRefreshableCredentials

from watcher.adapters.aws.credentials import CheckedCredentials
from watcher.adapters.aws.errors import reply_status
from watcher.adapters.aws.sdk import HELPER_SHARE
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.settings import TargetSettings


def target_clients(targets: Iterable[TargetSettings], source: AwsClients) -> Mapping[str, AwsClients]:
    """Return the clients of each target by its name. `source` has the credentials that assume the roles. Creates nothing yet."""
    return {target.name: source.for_target(target, TargetResolver(target, source)) for target in targets}


class TargetResolver:
    """The source of the credentials of a target. Register it as the component `credential_provider` of a session."""

    def __init__(self, target: TargetSettings, source: AwsClients) -> None:
        self._target = target
        self._source = source

    async def load_credentials(self) -> CheckedCredentials:
        """The credentials of the role; without a role, those of the watcher. They are fetched when they are used."""
        if self._target.role_arn is None:
            return CheckedCredentials(_OwnCredentials(self._source))
        return CheckedCredentials(AioDeferredRefreshableCredentials(self._assume_role, "assume-role"))

    async def _assume_role(self) -> dict[str, Any]:
        """Make one call to STS. Its error is one of the setup of this target: never a denial of a task."""
        role = {"RoleArn": self._target.role_arn, "RoleSessionName": self._target.session_name}
        if self._target.external_id is not None:
            role["ExternalId"] = self._target.external_id
        try:
            reply = await self._source.call("sts", "assume_role", role, deadline=HELPER_SHARE * self._source.call_deadline)
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


class _OwnCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore ships no types
    """The credentials of the watcher itself, as they are at each call."""

    def __init__(self, source: AwsClients) -> None:
        super().__init__("", "", method="shared")
        self._source = source

    async def get_frozen_credentials(self) -> Any:
        """Those of this moment. Raises CredentialsRejected or Unavailable."""
        return await (await self._source.credentials()).get_frozen_credentials()
