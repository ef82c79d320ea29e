"""How long statuses lasted, by the timestamps of the service."""

from tests.core.facts import NOW, seen, watch_of
from watcher.core.polling.observed_durations import durations
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef

CATALOG = builtin_catalog()


def learned(kind_name: str, status: str) -> list[tuple[str, float]]:
    """The durations in an observation of an end: created at NOW, started 60 s later, changed 90 s later."""
    kind = CATALOG[kind_name]
    watch = watch_of(TaskRef(kind_name, tuple("id" for _ in kind.params)))
    end = seen(status, 100.0, created_at=NOW, started_at=NOW + 60.0, updated_at=NOW + 90.0)
    return list(durations(kind, watch, end, advance(kind, watch, end, WatchSettings())))


def test_the_times_of_a_task_give_the_durations_of_its_first_and_its_running_status() -> None:
    """A speaker search waits in the queue until it starts."""
    assert learned("speaker-search", "SUCCEEDED") == [("IN_QUEUE", 60.0), ("IN_PROGRESS", 30.0)]


def test_a_time_that_several_statuses_share_is_the_duration_of_none() -> None:
    """A job of AWS Batch has three statuses before the one that starts at its start."""
    assert learned("batch-job", "SUCCEEDED") == [("RUNNING", 30.0)]


def test_a_status_that_a_task_can_skip_does_not_count() -> None:
    """A transcription job that was never queued has waited for no time."""
    assert learned("transcription", "COMPLETED") == [("QUEUED", 60.0), ("IN_PROGRESS", 30.0)]
