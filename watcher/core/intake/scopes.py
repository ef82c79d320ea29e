"""Decides which target a task belongs to, by what a message, an ARN, or an event of AWS says about its Region and account.

A target is named in the configuration. A message chooses among them and never adds one. No error text repeats what was read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watcher.errors import InvalidInput
from watcher.model import DEFAULT_TARGET, Scope

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]{2,9}){1,2}-[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Targets:
    """The configured targets. The methods raise InvalidInput: scope."""

    scopes: Mapping[str, Scope]
    """By name, with the default one."""
    others: bool = False
    """Whether other targets may exist: a command does not know the configuration of each watcher that it sends to."""

    def named(self, name: Any) -> str:
        """Return the target that a message names; the default one for None."""
        if name is None:
            return DEFAULT_TARGET
        known = isinstance(name, str) and (name in self.scopes or (self.others and _NAME.fullmatch(name)))
        if not known:
            raise InvalidInput("scope", f"the target is not configured; use one of {', '.join(self.scopes)}")
        return str(name)

    def check_region(self, name: str, region: Any) -> None:
        """Check that the Region in a message is that of its target."""
        if region is not None and name in self.scopes and region != self.scopes[name].region:
            configured = "the configured one" if name == DEFAULT_TARGET else f"that of the target {name}"
            raise InvalidInput("scope", f"the region is not {configured}")

    def check_place(self, name: str, region: Any, account: Any) -> None:
        """Check that a target can have tasks in this account and Region. None or an empty string: not known."""
        if name in self.scopes and not _agrees(self.scopes[name], region or None, account or None):
            raise InvalidInput("scope", f"the task is not in the account and Region of the target {name}")

    def at(self, region: Any, account: Any, *, prefer_default: bool = False) -> str:
        """Return the only target that is in this account and Region. None or an empty string: not known.

        A target whose account is not known matches by its Region alone, if no other one matches exactly. A target whose Region is not
        known matches if no other one does. With `prefer_default`, the default target is meant if several match.
        """
        region, account = region or None, account or None
        exact = [name for name, scope in self.scopes.items() if None not in (region, account) and scope == Scope(region, account)]
        agreeing = [name for name, scope in self.scopes.items() if _agrees(scope, region, account)]
        found = exact or [name for name in agreeing if self.scopes[name].region == region] or agreeing
        if len(found) > 1 and prefer_default and DEFAULT_TARGET in found:
            return DEFAULT_TARGET
        if len(found) > 1:
            raise InvalidInput("scope", f"several targets are in the account and Region of the task: {', '.join(found)}; add the target")
        if not found and not self.others:
            raise InvalidInput("scope", f"{self._missing(region)}; add a target")
        return found[0] if found else DEFAULT_TARGET

    def _missing(self, region: Any) -> str:
        """Return why no target matches a task in this Region. The text repeats the Region only if it has the form of one."""
        configured = ", ".join(name if scope.region is None else f"{name} is in {scope.region}" for name, scope in self.scopes.items())
        if any(scope.region in (None, region) for scope in self.scopes.values()):
            return f"no target is in the account of the task; configured: {configured}"
        known = isinstance(region, str) and _REGION.fullmatch(region)
        where = f"Region of the task, {region}" if known else "account and Region of the task"
        return f"no target is in the {where}; configured: {configured}"


def _agrees(scope: Scope, region: Any, account: Any) -> bool:
    return (None in (scope.region, region) or scope.region == region) and (None in (scope.account, account) or scope.account == account)
