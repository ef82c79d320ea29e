"""What is left of a message without its envelopes: the value that all steps of unwrapping return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.errors import InvalidInput
from watcher.kinds.kind import Kind
from watcher.model import Ignored


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """One element without its envelopes: the members or the text that should name a task, or why there are none."""

    content: Mapping[str, Any] | str | InvalidInput | Ignored
    notified: tuple[Kind, ...] = ()
    """The kinds that AWS's own notification may be about, where the element is one."""
    started: tuple[Kind, ...] = ()
    """The kinds of task that the recorded call may have started, where the element is a CloudTrail record."""
    request: Mapping[str, Any] = field(default_factory=dict)
    """The parameters of the recorded call."""
    region: Any = None
    """The Region in which AWS itself says that this happened."""
    account: Any = None
    """The account in which AWS itself says that this happened."""
    resources: Any = None
    """The ARNs that AWS itself lists beside a notification."""
    place: str = ""
    """Where in a batch the element was, as a prefix for error texts: `element 2: `."""
    trace: str | None = None
    """The trace context of the innermost envelope that has one."""
    beside: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What stands beside an input of Step Functions and is meant for the only task in it, such as a task token."""
    envelopes: tuple[str, ...] = ()
    """The names of its envelopes, the outer one first, for error texts: `an SNS notification`."""
