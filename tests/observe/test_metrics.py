"""The metrics as a scrape sees them: conventions, guards, and that two watchers in one process do not mix."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from watcher import __version__
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import MAX_REASONS, Metrics, status_label

ID_LIKE = re.compile(r"(^|_)(id|ids|key|task|arn|connector|profile|phone|url|path|email|uuid)($|_)")
ATTRIBUTES = [
    *("inputs", "acks", "watches", "polls", "poll_seconds", "in_flight", "events", "ended"),
    *("detection_lag", "calls_per_task", "pace_rate", "pace_throttles", "price", "due_lateness"),
    *("outbox_events", "outbox_age", "deliveries", "delivery_seconds", "dead_letters"),
    *("circuit_open", "loop_lag", "store_seconds", "build_info"),
]


def ours(metrics):
    return {name: getattr(metrics, name) for name in ATTRIBUTES}


def scraped(metrics):
    """Each sample as {(name, labels): value}."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_metric_follows_the_conventions(attribute):
    """Each metric has our prefix, a sentence of help, the suffix of its type, base units, and labels that cannot be ids."""
    (family,) = ours(Metrics())[attribute].describe()
    assert re.fullmatch(r"watcher_[a-z]+(_[a-z]+)*", family.name)
    assert family.documentation.endswith(".")
    assert not re.search(r"_(ms|milliseconds|minutes|total|percent|count|sum|bucket)$", family.name), "counters get _total when rendered"
    assert not [label for label in ours(Metrics())[attribute]._labelnames if ID_LIKE.search(label)]


def test_no_metric_is_left_out_of_the_conventions():
    """Whatever the registry exposes under our prefix is one of the attributes that the runtime knows."""
    metrics = Metrics()
    declared = {family.name for metric in ours(metrics).values() for family in metric.describe()}
    exposed = {family.name for family in metrics.registry.collect() if family.name.startswith("watcher")}
    assert exposed == declared


def test_counters_end_in_total_and_times_in_seconds():
    """A scrape names counters `_total` and every duration `_seconds`."""
    metrics = Metrics()
    kinds = {family.name: family.type for family in text_string_to_metric_families(metrics.render().decode())}
    assert {n for n, t in kinds.items() if t == "counter" and n.startswith("watcher")} >= {"watcher_polls", "watcher_dead_letters"}
    assert b"watcher_polls_total{" in metrics.render()
    for word in ("duration", "lag", "age", "lateness", "price"):
        assert all(n.endswith("_seconds") for n in kinds if n.startswith("watcher") and word in n.split("_"))


def test_process_metrics_are_there():
    """Memory, descriptors and the interpreter come with every scrape."""
    text = Metrics().render().decode()
    assert "process_resident_memory_bytes" in text
    assert "python_info{" in text


def test_two_watchers_in_one_process_count_apart():
    """A second instance has a registry of its own."""
    first, second = Metrics(), Metrics()
    first.inputs.labels("queue", "admitted").inc()
    assert scraped(first)["watcher_inputs_total", (("outcome", "admitted"), ("source", "queue"))] == 1
    assert not [key for key in scraped(second) if key[0] == "watcher_inputs_total"]


def test_the_version_is_told():
    """build_info names the version that runs."""
    assert scraped(Metrics())["watcher_build_info", (("version", __version__),)] == 1


def test_poll_counters_begin_at_zero():
    """A first throttle is an increase, because the series was there before it."""
    labels = (("kind", "speaker-search"), ("outcome", "throttled"))
    assert scraped(Metrics())["watcher_polls_total", labels] == 0


@pytest.mark.parametrize(
    ("kind", "status", "label"),
    [
        ("speaker-search", None, "new"),
        ("speaker-search", "IN_PROGRESS", "IN_PROGRESS"),
        ("speaker-search", "+12065550100", "other"),
        ("no-such-kind", "IN_PROGRESS", "other"),
    ],
)
def test_only_known_statuses_become_labels(kind, status, label):
    """A status that the service made up is `other`; no status yet is `new`."""
    assert status_label(kind, status) == label


def test_a_state_left_by_all_shows_zero():
    """Watches that moved on are not shown twice."""
    metrics = Metrics()
    metrics.show_watches({("speaker-search", None): 2, ("speaker-search", "WEIRD"): 1, ("speaker-search", "ODD"): 1})
    assert scraped(metrics)["watcher_watches", (("kind", "speaker-search"), ("status", "other"))] == 2
    metrics.show_watches({("speaker-search", "IN_QUEUE"): 2})
    shown = {
        dict(labels)["status"]: v for (n, labels), v in scraped(metrics).items() if n == "watcher_watches" and "speaker" in str(labels)
    }
    assert shown == {"new": 0, "other": 0, **dict.fromkeys(builtin_catalog()["speaker-search"].statuses, 0), "IN_QUEUE": 2}


@pytest.mark.parametrize("reason", ["not_found", "duplicate_key", "http_410", "size"])
def test_our_own_reasons_become_labels(reason):
    """A reason in the words of this code is shown as it is."""
    assert Metrics().reason_label(reason) == reason


@pytest.mark.parametrize("reason", ["", "InternalFailure", "+12065550100", "a b", "2f9c", "AKIA1234", "x" * 99, "vp_9f8e7d6c", "ünïcode"])
def test_foreign_words_do_not(reason):
    """An error code of the other side, a number or a text is `other`."""
    assert Metrics().reason_label(reason) == "other"


def test_reasons_cannot_pile_up():
    """However many words somebody invents, the number of series stays bounded."""
    metrics = Metrics()
    words = {metrics.reason_label(f"{a}{b}") for a in "abcdefghij" for b in "abcdefghij"}
    assert len(words) == MAX_REASONS + 1
    assert metrics.reason_label("aa") == "aa"
