"""The quota that a call counts against: AWS counts the calls of each account and Region apart, so it belongs to one target."""

from __future__ import annotations

from typing import NamedTuple

from watcher.kinds.kind import Quota
from watcher.model import DEFAULT_TARGET


class TargetQuota(NamedTuple):
    """A quota in one target. All calls that count against it share one pace, one price, and one pending set."""

    quota: Quota
    target: str = DEFAULT_TARGET

    @property
    def name(self) -> str:
        """`QUOTA` in the default target, `QUOTA:TARGET` in another one: in health, in stored state, and in reports between replicas."""
        return self.quota.name if self.target == DEFAULT_TARGET else f"{self.quota.name}:{self.target}"

    @property
    def component(self) -> str:
        """The name of its component in health reports."""
        return f"quota:{self.name}"
