"""How long a failed call to a source or a sink waits for its next attempt."""

from __future__ import annotations

import pytest

from watcher.errors import Unavailable
from watcher.runtime.retrying import MAX_RETRY_AFTER_S, backoff


@pytest.mark.parametrize(("requested", "wait"), [(0.2, 1.0), (30.0, 30.0), (86_400.0, MAX_RETRY_AFTER_S)])
def test_a_requested_wait_is_kept_between_a_second_and_five_minutes(requested: float, wait: float) -> None:
    """Retry-After is obeyed, but a remote side cannot stop delivery for a day, nor make a hot loop."""
    assert backoff(1, Unavailable("503", retry_after=requested)) == wait


@pytest.mark.parametrize("error", [None, Unavailable("503"), Unavailable("503", retry_after=0.0)])
def test_without_a_requested_wait_the_backoff_has_jitter_up_to_a_minute(error: Unavailable | None) -> None:
    """Each attempt waits a random time that grows up to 60 s; a requested wait of zero counts as none."""
    waits = [backoff(attempt, error) for attempt in (1, 5, 50) for _ in range(20)]
    assert all(0.05 <= wait <= 60.0 for wait in waits)
    assert max(waits) > 5.0
