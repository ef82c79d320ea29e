"""Which promises about calls about several tasks must hold after any run. The events of their tasks are judged as all others are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.batch_kind import CLUSTERS, batch_ref
from tests.simulation.record import Record

BACKLOG_S = 3.0
"""The longest time from the start to the first call, and of a call, in seconds."""


def judge_batches(record: Record) -> Iterator[str]:
    """Every broken promise about such calls, one sentence each."""
    yield from record.probe.broken[:10]
    yield from _backlog_polled(record)


def _backlog_polled(record: Record) -> Iterator[str]:
    """A task that rides along costs no permit: a backlog needs as many permits as there are full calls."""
    story, polled = record.story, getattr(record.probe, "polled", {})
    if not story.pending_batch or story.rate is None:
        return
    limit = BACKLOG_S + story.pending_batch / story.batch_size / story.rate
    keys = [batch_ref(CLUSTERS[0], f"old-{n}").key for n in range(story.pending_batch)]
    last = max(polled.get(key, float("inf")) for key in keys)
    if last > limit:
        yield f"it took {last:.1f} s until each of {story.pending_batch} tasks was polled, more than {limit:.1f} s"
