"""The files for operators match the code: alerts and dashboard use existing metrics, policies allow what is called."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.pages import OPERATING, blocks
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.document import iam_actions
from watcher.observe.metrics import Metrics

load_yaml = YAML(typ="safe", pure=True).load

DEPLOY = Path(__file__).parents[2] / "config" / "deploy"
CALLED = {action for kind in builtin_catalog() for action in iam_actions(kind)}
"""The permissions for the calls about tasks of the shipped kinds."""
ALLOWED = CALLED | {
    "sts:AssumeRole",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:SendMessage",
    "events:PutEvents",
    "events:DescribeEventBus",  # the check of `watcher doctor`
    "sns:GetTopicAttributes",  # the check of `watcher doctor`
    "sns:Publish",
    "kinesis:PutRecords",
    "kinesis:DescribeStreamSummary",  # the check of `watcher doctor`
    "lambda:InvokeFunction",
    "states:SendTaskSuccess",
    "states:SendTaskFailure",
    "states:SendTaskHeartbeat",
}
ANY_RESOURCE = {"watch-other-kinds.json", "sink-stepfunctions.json"}
"""Policies for actions of which some cannot be limited to a resource."""
TRUST = "target-trust.json"
"""The trust policy of the role of a target. The other files are policies of the watcher's role."""


TARGET_LABELS = {"job", "instance"}
"""Labels that Prometheus adds to every series."""


def declared():
    """Return each series that a scrape can show, with the labels that the watcher sets."""
    series = {}
    for metric in vars(Metrics(builtin_catalog())).values():
        if not hasattr(metric, "_labelnames"):
            continue
        (family,) = metric.describe()
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        for suffix in suffixes:
            series[family.name + suffix] = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return series


def expressions():
    """Return every PromQL expression in the alerts and the dashboard."""
    rules = [r for group in load_yaml((DEPLOY / "alerts.yaml").read_text())["groups"] for r in group["rules"]]
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules] + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_metrics_and_labels_that_exist(expression):
    """Each metric in an expression is declared, and has each label by which the expression groups or filters it."""
    series = declared()
    used = re.findall(r"watcher_[a-z_]+", expression)
    assert used
    assert set(used) <= set(series)
    labels = set(re.findall(r"[{,]\s*(\w+)\s*=~?", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    assert all(labels - TARGET_LABELS <= series[name] for name in used)


def test_every_metric_is_on_the_dashboard_or_in_an_alert():
    """Every metric but one is used by the dashboard or by an alert."""
    shown = " ".join(expressions())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared()}
    assert {name for name in families if name not in shown} == {"watcher_acks_total"}


def test_alerts_say_what_to_do():
    """Each alert has a severity, a summary, and a hint that says what to do."""
    rules = [r for group in load_yaml((DEPLOY / "alerts.yaml").read_text())["groups"] for r in group["rules"]]
    assert all(r["labels"]["severity"] in ("page", "ticket") and r["annotations"].keys() == {"summary", "hint"} for r in rules)
    assert len({r["alert"] for r in rules}) == len(rules)


def statements(name):
    """Return the statements of a policy, each with lists of actions and resources."""
    found = json.loads((DEPLOY / "iam" / name).read_text())["Statement"]
    return [{**each, **{key: as_list(each.get(key, [])) for key in ("Action", "Resource")}} for each in found]


def as_list(value):
    return [value] if isinstance(value, str) else value


POLICIES = sorted(path.name for path in (DEPLOY / "iam").glob("*.json") if path.name != TRUST)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_allow_only_what_is_needed(name):
    """Each policy allows named actions, on named resources where these can be named, and no action that the watcher does not call."""
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        assert set(statement["Action"]) <= ALLOWED
        assert statement["Resource"]
        for resource in [] if name in ANY_RESOURCE else statement["Resource"]:
            assert re.fullmatch(r"arn:aws:(chime|sqs|sns|events|kinesis|lambda|iam):(us-east-1)?:111122223333:[\w/:*-]+", resource)


def test_the_policies_together_are_enough():
    """Every action that the watcher calls is allowed by one of the policies."""
    assert {action for name in POLICIES for statement in statements(name) for action in statement["Action"]} == ALLOWED


def test_the_calls_of_all_shipped_kinds_are_allowed():
    """The policies for calls about tasks allow those of each shipped kind, and nothing else."""
    named = [statement for name in ("watch.json", "watch-other-kinds.json") for statement in statements(name)]
    assert {action for statement in named for action in statement["Action"]} == CALLED


def test_a_role_of_a_target_is_assumed_by_the_watcher_with_an_external_id():
    """The trust policy allows only sts:AssumeRole, only to the role of the watcher, and only with the external id."""
    (trust,) = statements(TRUST)
    assert trust["Action"] == ["sts:AssumeRole"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::444455556666:role/watcher"}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "watcher-7"}}


@pytest.mark.parametrize("name", ["assume-role.json", TRUST])
def test_the_page_shows_the_policies_of_a_target(name):
    """docs/operating.md has the two policies as they are in config/deploy."""
    assert (DEPLOY / "iam" / name).read_text() in blocks(OPERATING, "json")
