"""How the watcher speaks to AWS. Region, credentials and endpoints are AWS's own variables, and not here."""

from __future__ import annotations

from typing import Literal

from watcher.section import Section


class AwsSettings(Section):
    """The way to AWS."""

    client: Literal["direct", "plain"] = "direct"
    """How polls are sent: direct signs and sends them itself under the SDK's client, for a fraction of the processor time;
    plain leaves everything to the SDK."""
