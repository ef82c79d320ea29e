"""The files for operators match the code: alerts and dashboard use existing metrics, policies allow what is called."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics

load_yaml = YAML(typ="safe", pure=True).load

DEPLOY = Path(__file__).parents[2] / "config" / "deploy"
ALLOWED = {
    "chime:GetSpeakerSearchTask",
    "chime:GetVoiceToneAnalysisTask",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:SendMessage",
    "events:PutEvents",
    "events:DescribeEventBus",  # the check of `watcher doctor`
    "sns:GetTopicAttributes",  # the check of `watcher doctor`
    "sns:Publish",
}


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


@pytest.mark.parametrize("path", sorted((DEPLOY / "iam").glob("*.json")), ids=lambda path: path.name)
def test_policies_allow_only_what_is_needed(path):
    """Each policy allows named actions on named resources, and no action that the watcher does not call."""
    for statement in json.loads(path.read_text())["Statement"]:
        assert statement["Effect"] == "Allow"
        assert set(statement["Action"]) <= ALLOWED
        assert re.fullmatch(r"arn:aws:(chime|sqs|sns|events):us-east-1:111122223333:[\w/*-]+", statement["Resource"])


def test_the_policies_together_are_enough():
    """Every action that the watcher calls is allowed by one of the policies."""
    policies = [json.loads(path.read_text()) for path in (DEPLOY / "iam").glob("*.json")]
    assert {action for policy in policies for statement in policy["Statement"] for action in statement["Action"]} == ALLOWED
