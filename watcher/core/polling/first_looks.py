"""The chance that a task has left its first status when it is submitted: learned for each kind and source.

The first look is the first poll of a task of which only the id is known. If a source submits each task right after its
start, a first look at once finds the first status, as expected. If it submits a list of last week's tasks, a first look at
once finds a change. So the chance decides when the first look is due: see `Cadence.first_gap`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watcher.kinds.kind import Kind
from watcher.model import Observation, Watch

MEMORY = 50.0
"""About this many of the last first looks count."""
PRIOR_LOOKS = 1.0
"""The number of first looks that weigh as much as the assumption that both are equally likely."""


@dataclass(slots=True)
class _Looks:
    further: float = 0.0
    all: float = 0.0

    @property
    def chance(self) -> float:
        return (self.further + 0.5 * PRIOR_LOOKS) / (self.all + PRIOR_LOOKS)

    def add(self, further: bool) -> None:
        kept = 1 - 1 / MEMORY
        self.further, self.all = self.further * kept + further, self.all * kept + 1


class FirstLooks:
    """The chances of one quota, by kind and source. The schedule uses the empty name for all sources together."""

    def __init__(self) -> None:
        self._looks: dict[tuple[str, str], _Looks] = {}

    def chance(self, kind: str, source: str) -> float:
        """The chance that a task of this kind from this source has left its first status when it is submitted."""
        looks = self._looks.get((kind, source))
        return 0.5 if looks is None else looks.chance

    def learn(self, kind: str, source: str, further: bool) -> None:
        """Learn from one task whether it had left its first status."""
        self._looks.setdefault((kind, source), _Looks()).add(further)

    def dump(self) -> Sequence[tuple[str, str, float, float]]:
        """Kind, source, and two counts, to be saved as JSON."""
        return [(kind, source, round(looks.further, 3), round(looks.all, 3)) for (kind, source), looks in self._looks.items()]

    def restore(self, rows: Sequence[Sequence[object]]) -> None:
        """Continue from the rows of an earlier `dump`. Raises ValueError or TypeError for invalid rows."""
        found: dict[tuple[str, str], _Looks] = {}
        for kind, source, further, count in rows:
            looks = _Looks(float(str(further)), float(str(count)))
            if not 0 <= looks.further <= looks.all <= MEMORY + 1:
                raise ValueError("not a count of first looks")
            found[str(kind), str(source)] = looks
        self._looks |= found


def was_further(kind: Kind, watch: Watch, seen: Observation) -> bool | None:
    """Whether a task had left its first status when its watch began, by the service's timestamps. None: they do not tell.

    `seen` is what the first look has shown. When that look was does not matter, so a late look does not change what is learned.
    """
    if seen.created_at is None or (kind.reply.started is None and kind.running_status is not None):
        return None  # both answers, or neither: else one of them would be learned alone
    if seen.status == kind.first_status:
        return False
    left_at = seen.started_at if seen.started_at is not None else seen.updated_at
    return None if left_at is None else left_at <= watch.admitted_at
