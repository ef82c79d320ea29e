"""Notes about queues, topics and buses in another Region than the configured one. They work, but the user may not have meant it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from watcher.adapters.aws.arns import arn_region, queue_region
from watcher.config.load import Loaded
from watcher.yaml_text import KeyPath, dotted

NAMES = {"queue_url": queue_region, "topic_arn": arn_region, "bus": arn_region}
"""The keys that may name a Region, and how to read it."""


def region_notes(loaded: Loaded) -> list[str]:
    """One line for each resource in another Region, as `file:line: key: note`. Reads AWS's own variables and files."""
    found = list(_named_regions(loaded.settings))
    own = _own_region() if found else None
    return [
        f"{loaded.origin(path)}: {dotted(path)}: is in {region}, and the configured Region is {own or 'missing'}:"
        f" calls about it go to {region}; tasks are polled in {own or 'none: set AWS_REGION'}"
        for path, region in found
        if region != own
    ]


def _named_regions(settings: Any) -> Iterator[tuple[KeyPath, str]]:
    for part in ("sources", "sinks"):
        for index, section in enumerate(getattr(settings, part)):
            for key, region_of in NAMES.items():
                region = region_of(getattr(section, key, None) or "")
                if region is not None:
                    yield (part, index, key), region


def _own_region() -> str | None:
    from watcher.adapters.aws.session import AwsClients
    from watcher.errors import CredentialsRejected

    try:
        return AwsClients().region()
    except CredentialsRejected:
        return None  # `watcher doctor` reports a profile that cannot be read
