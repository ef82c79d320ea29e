"""Settings for calls to AWS. Region, credentials and endpoints are not among them: AWS's own variables and files set those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from watcher.section import Section


class AwsSettings(Section):
    """Calls to AWS."""

    client: Literal["plain", "direct"] = "plain"
    """Deprecated and without effect: the AWS SDK sends all calls. direct is still accepted and means the same as plain."""

    def deprecations(self) -> Sequence[str]:
        """One sentence for each deprecated value in use, to be logged as a warning."""
        if self.client == "plain":
            return ()
        return (f"aws.client: {self.client} has no effect: the AWS SDK sends all calls; remove the line",)
