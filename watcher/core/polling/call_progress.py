"""What the polls of open watches showed since their last change, for `watcher tasks` and `watcher explain`.

A poll without a change is not stored, so this is saved twice a minute, as one text. It names watches by their id, which says
nothing about the task once the watch is erased.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from watcher.core.polling.lane import ADOPTED
from watcher.model import Watch

MAX_WATCHES = 5000
"""The watches that are kept: those that were polled last."""


class CallState(NamedTuple):
    """The number of polls of a watch so far, and the reason of the last one; `adopted` before the first one in a process."""

    polls: int
    reason: str


class CallProgress:
    """The state of the watches that were polled last."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, CallState] = OrderedDict()
        self.changed = False
        """Whether there is something to save since the last `dump`."""

    def note(self, watch: Watch, reason: str) -> None:
        """Note a poll of an open watch and its reason: what it showed, or why it showed nothing."""
        self._states[watch.id] = CallState(watch.polls, reason)
        self._states.move_to_end(watch.id)
        self.changed = True
        if len(self._states) > MAX_WATCHES:
            self._states.popitem(last=False)

    def note_adopted(self, watch: Watch) -> None:
        """Note that a watch came with its shard and was not polled since. It displaces no watch that was polled."""
        if len(self._states) < MAX_WATCHES:
            self.note(watch, ADOPTED)

    def drop(self, watch_id: str) -> None:
        """Forget a watch that is no longer polled."""
        if self._states.pop(watch_id, None) is not None:
            self.changed = True

    def clear(self) -> None:
        """Forget all watches."""
        self._states.clear()
        self.changed = True

    def dump(self) -> str:
        """The text to save."""
        self.changed = False
        return json.dumps(self._states, separators=(",", ":"))


def read_progress(text: str | None) -> Mapping[str, CallState]:
    """Return the state of each watch by its id. A text that cannot be read contains none."""
    try:
        found = json.loads(text or "{}")
        return {str(watch_id): CallState(int(polls), str(reason)) for watch_id, (polls, reason) in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
