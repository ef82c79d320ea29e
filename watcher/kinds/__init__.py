"""What can be watched: one declarative file for each kind of task, and this table.

A new kind is a file beside the others and a line in `KINDS`. Nothing else in the package names a kind.
"""

from __future__ import annotations

from watcher.kinds.kind import Kind, Param, Phase, Quota
from watcher.kinds.speaker_search import SPEAKER_SEARCH
from watcher.kinds.voice_tone import VOICE_TONE

KINDS: dict[str, Kind] = {kind.name: kind for kind in (SPEAKER_SEARCH, VOICE_TONE)}

QUOTAS: dict[str, Quota] = {kind.quota.name: kind.quota for kind in KINDS.values()}

__all__ = ["KINDS", "QUOTAS", "Kind", "Param", "Phase", "Quota"]
