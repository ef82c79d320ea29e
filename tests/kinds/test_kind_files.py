"""Mistakes in the files of kinds, and what a file may leave out."""

from dataclasses import replace

import pytest

from tests.kinds.pipeline import PIPELINE
from watcher.errors import ConfigMistakes
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Kind, Quota
from watcher.kinds.kind_files import read_kinds

STATUS, RETENTION = "status: AnalyticsTaskStatus", "retention: 1d"
RESULT = "'{name: Output.Name, parts: Output.Parts}'"


@pytest.fixture
def pipeline() -> Kind:
    (kind,) = read_kinds({"call-analytics.yaml": PIPELINE})
    return kind


def mistakes_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigMistakes) as caught:
        read_kinds({"k.yaml": text})
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("name: call", "label: x\nname: call", "k.yaml:2: label: unknown key; use one of: name, service, "),
        ("name: call-analytics\n", "", "k.yaml:1: name: this key is required; add it"),
        (", title: Media pipeline API rate", "", "k.yaml:19: quota.title: this key is required; add it"),
        ("media-pipeline,", "media-pipeline, tilte: x,", "k.yaml:19: quota.tilte: unknown key; did you mean title?"),
        ("name: call-analytics", "name: Call Analytics", "k.yaml:2: name: string should match pattern"),
        ("InProgress: open", "InProgress: opne", "k.yaml:15: statuses.InProgress: unknown value; did you mean open?"),
        (
            "NotStarted: open",
            "FIRST_STATUS: open",
            "k.yaml:13: statuses.FIRST_STATUS: is a placeholder; replace it with the first status of such a task",
        ),
        ("NotStarted: open", "NotStarted: failed", "k.yaml:12: statuses: the first status must be open"),
        (
            "Failed: failed\n  Stopping: open\n  Stopped: failed",
            "Failed: open",
            "k.yaml:12: statuses: at least one status must be succeeded or failed",
        ),
        (STATUS, "status: Analytics[", "k.yaml:10: status: not a valid JMESPath expression: error at character 11"),
        (STATUS, "status: 'Task#Status'", "k.yaml:10: status: not a valid JMESPath expression: error at character 5"),
        (STATUS, "status: ''", "k.yaml:10: status: not a valid JMESPath expression: it is empty"),
        (RESULT, "lenght(Output)", "k.yaml:11: result: JMESPath has no function lenght()"),
        (RESULT, "a || length()", "k.yaml:11: result: length() takes 1 argument(s), got 0"),
        (RESULT, "join(a)", "k.yaml:11: result: join() takes 2 argument(s), got 1"),
        (RESULT, "x[?merge()]", "k.yaml:11: result: merge() takes at least 1 argument(s), got 0"),
        (RETENTION, "retention: 1d\nprivate: ['a[0]']", "k.yaml:21: private[0]: expected names joined by dots"),
        (RETENTION, "retention: 1d\ntypes: {'a[*]': string, a.b: list}", "k.yaml:21: types: a cannot be both a list and an object"),
        (RETENTION, "retention: 1d\ntypes: {a: text}", "k.yaml:21: types.a: unknown value; use one of: object, list, string, number"),
        (RETENTION, "retention: 1d\ntypes: {'a b': list}", "k.yaml:21: types.a b: not a valid JMESPath expression"),
        (RETENTION, "retention: 1d\noptional: [Failed]", "k.yaml:21: optional: Failed is not an open status; list only such statuses"),
        (RETENTION, "retention: soon", "k.yaml:20: retention: "),
        (RETENTION, "retention: 1d\nretention: 2d", "k.yaml:21: retention: duplicate key "),
        ("'\\w+'", "'['", "k.yaml:7: params.AnalyticsTaskId.pattern: not a valid regular expression: "),
        ("field: pipeline_id", "field: analytics_task_id", "k.yaml:5: params: two params have the same field"),
        ("service: chime", "service: [chime", "k.yaml:3: file: a { or [ starts here"),
        (PIPELINE, "just text", "k.yaml:1: file: "),
        (PIPELINE, "", "k.yaml:1: file: "),
    ],
)  # fmt: skip
def test_a_mistake_names_its_line_and_key(old, new, mistake) -> None:
    """And says what would be right, where that is a choice."""
    assert old in PIPELINE
    (line,) = mistakes_of(PIPELINE.replace(old, new))
    assert line.startswith(mistake)


def test_all_mistakes_in_all_files_are_reported_together() -> None:
    """So that one run shows all there is to repair."""
    bad = PIPELINE.replace("InProgress: open", "InProgress: opne").replace("id: AnalyticsTaskId", "id: '['")
    with pytest.raises(ConfigMistakes) as caught:
        read_kinds({"a.yaml": bad, "b.yaml": PIPELINE, "c.yaml": "name: c"})
    files = [line.split(":")[0] for line in caught.value.mistakes]
    assert files.count("a.yaml") == 2
    assert files.count("c.yaml") >= 6
    assert "b.yaml" not in files


def test_kinds_that_contradict_each_other_make_no_catalog(pipeline: Kind) -> None:
    """The same name twice, one quota with two titles or services, a default that is missing, or no kind at all."""
    other = replace(pipeline, quota=Quota("media-pipeline", "Another title"))
    third = replace(pipeline, name="third", service="other")
    with pytest.raises(ConfigMistakes) as caught:
        Catalog([pipeline, other, third], default="nothing")
    assert len(caught.value.mistakes) == 4
    with pytest.raises(ConfigMistakes):
        Catalog([])


def test_the_field_of_a_param_defaults_to_its_name_in_snake_case(pipeline: Kind) -> None:
    """As the shipped kinds spell theirs."""
    assert [param.field for param in pipeline.params] == ["pipeline_id", "analytics_task_id"]
    names = ["VoiceConnectorId", "jobId", "DBSnapshotIdentifier", "x-ref"]
    form = PIPELINE.replace('  PipelineId: {field: pipeline_id, pattern: "[a-z0-9-]{1,64}"}\n', "".join(f"  {n}: {{}}\n" for n in names))
    (kind,) = read_kinds({"k.yaml": form})
    assert [param.field for param in kind.params][:-1] == ["voice_connector_id", "job_id", "db_snapshot_identifier", "x_ref"]


def test_a_status_that_a_task_can_skip_is_never_reported_as_skipped() -> None:
    """Without the declaration, all open statuses before an observed one count as skipped."""
    (kind,) = read_kinds({"k.yaml": PIPELINE + "optional: [Initializing]"})
    assert kind.skipped(None, "InProgress") == ("NotStarted",)
    assert replace(kind, optional=frozenset()).skipped(None, "InProgress") == ("NotStarted", "Initializing")


def test_a_kind_can_say_that_replies_have_no_id() -> None:
    """Else the id is where the name of the last param is."""
    (kind,) = read_kinds({"k.yaml": PIPELINE.replace("id: AnalyticsTaskId\n", "id: false\n")})
    assert kind.reply.id is None


def test_a_batch_call_sets_the_batch_size() -> None:
    """Without one, each task needs a call of its own."""
    batch = "batch: {operation: describe_jobs, param: jobs, size: 100, items: jobs, id: jobId}"
    (kind,) = read_kinds({"k.yaml": PIPELINE + batch})
    assert (kind.batch_size, builtin_catalog().default.batch_size) == (100, 1)


def test_the_example_of_a_param_defaults_to_its_name_if_that_fits_the_pattern() -> None:
    """A message with a value that the pattern refuses is no good example, so there is none."""
    (kind,) = read_kinds({"k.yaml": PIPELINE.replace('pattern: "[a-z0-9-]{1,64}"', "pattern: '[A-Z]+'")})
    assert kind.params[0].example == ""
    (kind,) = read_kinds({"k.yaml": PIPELINE.replace('pattern: "[a-z0-9-]{1,64}"', "pattern: '[A-Za-z]+'")})
    assert kind.params[0].example == "PipelineId"
