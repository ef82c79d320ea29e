"""What ships for operators matches the code: metrics that exist, labels that they have, permissions that are needed."""

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

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
    "events:DescribeEventBus",  # the doctor's look
    "sns:GetTopicAttributes",  # likewise
    "sns:Publish",
}


def declared():
    """Each series that a scrape can show, with its labels."""
    series = {}
    for metric in vars(Metrics()).values():
        if not hasattr(metric, "_labelnames"):
            continue
        (family,) = metric.describe()
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        for suffix in suffixes:
            series[family.name + suffix] = {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
    return series


def expressions():
    """Every PromQL expression that ships."""
    rules = [r for group in load_yaml((DEPLOY / "alerts.yaml").read_text())["groups"] for r in group["rules"]]
    panels = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules] + [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_expressions_use_metrics_and_labels_that_exist(expression):
    """Each metric in a rule or panel is declared, and each label it is grouped or filtered by is one of its own."""
    series = declared()
    used = re.findall(r"watcher_[a-z_]+", expression)
    assert used
    assert set(used) <= set(series)
    labels = set(re.findall(r"[{,]\s*(\w+)\s*=~?", expression))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        labels |= {label.strip() for label in group.split(",")}
    assert all(labels <= series[name] for name in used)


def test_every_metric_is_on_the_dashboard_or_in_an_alert():
    """A metric that nobody looks at is missing from neither by accident."""
    shown = " ".join(expressions())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in declared()}
    assert {name for name in families if name not in shown} == {"watcher_acks_total"}


def test_alerts_say_what_to_do():
    """Each rule has a severity, a summary and a hint."""
    rules = [r for group in load_yaml((DEPLOY / "alerts.yaml").read_text())["groups"] for r in group["rules"]]
    assert all(r["labels"]["severity"] in ("page", "ticket") and r["annotations"].keys() == {"summary", "hint"} for r in rules)
    assert len({r["alert"] for r in rules}) == len(rules)


@pytest.mark.parametrize("path", sorted((DEPLOY / "iam").glob("*.json")), ids=lambda path: path.name)
def test_policies_allow_the_least(path):
    """Each policy allows named calls on named resources, and nothing that the watcher does not make."""
    for statement in json.loads(path.read_text())["Statement"]:
        assert statement["Effect"] == "Allow"
        assert set(statement["Action"]) <= ALLOWED
        assert re.fullmatch(r"arn:aws:(chime|sqs|sns|events):us-east-1:111122223333:[\w/*-]+", statement["Resource"])


def test_the_policies_together_are_enough():
    """Every call that the watcher makes is allowed by one of them."""
    policies = [json.loads(path.read_text()) for path in (DEPLOY / "iam").glob("*.json")]
    assert {action for policy in policies for statement in policy["Statement"] for action in statement["Action"]} == ALLOWED
