"""Settings for calls to AWS. Region, credentials and endpoints are not among them: AWS's own variables and files set those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from watcher.section import Name, Section


class AwsSettings(Section):
    """Calls to AWS."""

    client: Literal["plain", "direct"] = "plain"
    """Deprecated and without effect: the AWS SDK sends all calls. direct is still accepted and means the same as plain."""

    def deprecations(self) -> Sequence[str]:
        """One sentence for each deprecated value in use, to be logged as a warning."""
        if self.client == "plain":
            return ()
        return (f"aws.client: {self.client} has no effect: the AWS SDK sends all calls; remove the line",)


class TargetSettings(Section):
    """Another account or Region whose tasks are polled. A message names it: `"target": "eu"`."""

    name: Name
    """The name in messages, keys, events, and metrics. `default` is that of the watcher's own account and Region."""
    region: str = Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")
    """The Region of the calls, such as eu-central-1."""
    role_arn: str | None = Field(default=None, pattern=r"^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$")
    """The role to assume for the calls, such as arn:aws:iam::111122223333:role/watched. null: the watcher's own credentials."""
    external_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+=,.@:/\\-]{2,1224}$")
    """The external id that the trust policy of the role requires, such as example-5f1c."""
    session_name: str = Field(default="watcher", pattern=r"^[A-Za-z0-9+=,.@_-]{2,64}$")
    """The name of the sessions of this role, as AWS CloudTrail shows it."""
    endpoint_url: str | None = Field(default=None, pattern=r"^https?://")
    """The endpoint of all calls to polled services of this target, such as that of a VPC endpoint. null: AWS's own variables and files."""

    @property
    def account(self) -> str | None:
        """The account of the role; None without a role."""
        return None if self.role_arn is None else self.role_arn.split(":")[4]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs role_arn")
        if self.name == "default":
            raise ValueError("default is the name of the watcher's own account and Region; choose another name")
        return self
