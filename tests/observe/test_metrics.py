"""The metrics as a scrape sees them: conventions, label values, and independence of two watchers in one process."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from watcher import __version__
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import END_REASONS, MAX_REASONS, Metrics, status_label
from watcher.queries import explain

CATALOG = builtin_catalog()
ID_LIKE = re.compile(r"(^|_)(id|ids|key|task|arn|connector|profile|phone|url|path|email|uuid)($|_)")
ATTRIBUTES = [
    *("inputs", "acks", "watches", "polls", "poll_seconds", "in_flight", "batch_limit", "events", "ended"),
    *("detection_lag", "calls_per_task", "pace_rate", "pace_throttles", "price", "announced_share", "due_lateness"),
    *("outbox_events", "outbox_age", "deliveries", "delivery_seconds", "dead_letters", "dead_letters_kept", "dead_letters_limit"),
    *("shards", "shards_owned", "shard_changes", "takeovers", "lease_age"),
    *("component_healthy", "circuit_open", "loop_lag", "store_seconds", "event_readers", "event_readers_disconnected", "build_info"),
]


def declared_metrics(metrics):
    """Each metric object by the name of its attribute."""
    return {name: getattr(metrics, name) for name in ATTRIBUTES}


def scraped(metrics):
    """Each sample of a scrape, as {(name, labels): value}."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_each_metric_follows_the_conventions(attribute):
    """Each metric has our prefix, a sentence as help, a base unit, and no label that could be an id."""
    (family,) = declared_metrics(Metrics(CATALOG))[attribute].describe()
    assert re.fullmatch(r"watcher_[a-z]+(_[a-z]+)*", family.name)
    assert family.documentation.endswith(".")
    assert not re.search(r"_(ms|milliseconds|minutes|total|percent|count|sum|bucket)$", family.name), "counters get _total when rendered"
    assert not [label for label in declared_metrics(Metrics(CATALOG))[attribute]._labelnames if ID_LIKE.search(label)]


def test_the_limit_of_calls_about_several_tasks_is_that_of_the_kind_from_the_start():
    """Each kind with such a call has a series in each target that has tasks of it. Other kinds have none."""
    metrics = Metrics(CATALOG)
    for kind in CATALOG:
        metrics.add_quota("eu", kind.quota.name)
    shown = {dict(labels)["kind"]: value for (name, labels), value in scraped(metrics).items() if name == "watcher_batch_limit"}
    assert shown == {kind.name: kind.batch_size for kind in CATALOG if kind.batch is not None}


def test_no_metric_is_left_out_of_the_conventions():
    """Every metric with our prefix in the registry is one of the attributes that are checked here."""
    metrics = Metrics(CATALOG)
    declared = {family.name for metric in declared_metrics(metrics).values() for family in metric.describe()}
    exposed = {family.name for family in metrics.registry.collect() if family.name.startswith("watcher")}
    assert exposed == declared


def test_counters_end_in_total_and_durations_in_seconds():
    """In a scrape, the name of each counter ends in `_total`, and that of each duration in `_seconds`."""
    metrics = Metrics(CATALOG)
    kinds = {family.name: family.type for family in text_string_to_metric_families(metrics.render().decode())}
    assert {n for n, t in kinds.items() if t == "counter" and n.startswith("watcher")} >= {"watcher_polls", "watcher_dead_letters"}
    assert b"watcher_polls_total{" in metrics.render()
    for word in ("duration", "lag", "age", "lateness", "price"):
        assert all(n.endswith("_seconds") for n in kinds if n.startswith("watcher") and word in n.split("_"))


def test_a_scrape_has_metrics_of_the_process():
    """Memory of the process and version of the interpreter are part of each scrape."""
    text = Metrics(CATALOG).render().decode()
    assert "process_resident_memory_bytes" in text
    assert "python_info{" in text


def test_two_watchers_in_one_process_count_apart():
    """Each instance has a registry of its own."""
    first, second = Metrics(CATALOG), Metrics(CATALOG)
    first.inputs.labels("queue", "admitted").inc()
    assert scraped(first)["watcher_inputs_total", (("outcome", "admitted"), ("source", "queue"))] == 1
    assert not [key for key in scraped(second) if key[0] == "watcher_inputs_total"]


def test_build_info_has_the_version():
    """The label of `watcher_build_info` is the version that runs."""
    assert scraped(Metrics(CATALOG))["watcher_build_info", (("version", __version__),)] == 1


def test_poll_counters_start_at_zero():
    """The series of each poll outcome exists from the start, so that its first increase is seen."""
    labels = (("kind", "speaker-search"), ("outcome", "throttled"), ("target", "default"))
    assert scraped(Metrics(CATALOG))["watcher_polls_total", labels] == 0


def test_each_counter_starts_at_zero_for_each_source_and_sink():
    """With the names of sources and sinks, every counter and histogram has series, each of them at 0, and one for each of the names."""
    metrics = Metrics(CATALOG)
    metrics.start_at_zero(["queue", "pipe"], ["crm", "bus"])
    series = {key: value for key, value in scraped(metrics).items() if key[0].startswith("watcher_")}
    for attribute, metric in declared_metrics(metrics).items():
        (family,) = metric.describe()
        if family.type in ("counter", "histogram"):
            name = family.name + ("_total" if family.type == "counter" else "_count")
            values = [(dict(labels), value) for (shown, labels), value in series.items() if shown == name]
            assert {value for _, value in values} == {0}, attribute
            for label, names in {"source": {"queue", "pipe"}, "sink": {"crm", "bus"}, "origin": {"queue", "pipe", "crm", "bus"}}.items():
                assert label not in metric._labelnames or {labels[label] for labels, _ in values} == names, attribute


def test_each_way_in_which_a_watch_ends_starts_at_zero():
    """Each reason that `watcher explain` puts into words has a series."""
    assert set(END_REASONS) >= set(explain.END_REASONS)


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
    """An undeclared status has the label `other`, and a watch without a status has the label `new`."""
    assert status_label(CATALOG, kind, status) == label


def test_a_status_without_watches_shows_zero():
    """The number of watches of a status falls to 0 when the last one leaves it."""
    metrics = Metrics(CATALOG)
    metrics.show_watches({("speaker-search", None): 2, ("speaker-search", "WEIRD"): 1, ("speaker-search", "ODD"): 1})
    assert scraped(metrics)["watcher_watches", (("kind", "speaker-search"), ("status", "other"))] == 2
    metrics.show_watches({("speaker-search", "IN_QUEUE"): 2})
    shown = {
        dict(labels)["status"]: v
        for (n, labels), v in scraped(metrics).items()
        if n == "watcher_watches" and ("kind", "speaker-search") in labels
    }
    assert shown == {"new": 0, "other": 0, **dict.fromkeys(CATALOG["speaker-search"].statuses, 0), "IN_QUEUE": 2}


def test_the_announced_share_is_shown_for_known_statuses_only():
    """A status of which nothing was announced has no series, and an undeclared one the label `other`."""
    metrics = Metrics(CATALOG)
    assert not [name for name, _ in scraped(metrics) if name == "watcher_announced_share"]
    metrics.show_announced("speaker-search", "IN_PROGRESS", 0.75)
    metrics.show_announced("speaker-search", "WEIRD", 0.5)
    shown = {dict(labels)["status"]: value for (name, labels), value in scraped(metrics).items() if name == "watcher_announced_share"}
    assert shown == {"IN_PROGRESS": 0.75, "other": 0.5}


@pytest.mark.parametrize("reason", ["not_found", "duplicate_key", "http_410", "size"])
def test_reasons_of_ours_become_labels(reason):
    """A reason in the form of our own reasons is its own label."""
    assert Metrics(CATALOG).reason_label(reason) == reason


@pytest.mark.parametrize("reason", ["", "InternalFailure", "+12065550100", "a b", "2f9c", "AKIA1234", "x" * 99, "vp_9f8e7d6c", "ünïcode"])
def test_reasons_from_outside_do_not_become_labels(reason):
    """An error code of a service, a number or a text has the label `other`."""
    assert Metrics(CATALOG).reason_label(reason) == "other"


def test_the_number_of_reasons_is_limited():
    """Beyond `MAX_REASONS` different reasons, new ones have the label `other`."""
    metrics = Metrics(CATALOG)
    words = {metrics.reason_label(f"{a}{b}") for a in "abcdefghij" for b in "abcdefghij"}
    assert len(words) == MAX_REASONS + 1
    assert metrics.reason_label("aa") == "aa"
