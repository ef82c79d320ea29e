"""The templates of `config/deploy/cloudformation` agree with the policies, the pages, the image, and the configuration."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.deploy.cloudformation import TEMPLATES, Template
from tests.pages import ROOT
from watcher.config import Settings, parse
from watcher.observe.log_messages import MESSAGES

DEPLOY = ROOT / "config" / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FEEDING = (ROOT / "docs" / "feeding.md").read_text()
FEED = Template("feed.yaml", BusName="default")
DSN = "postgresql://watcher@db.example.com:5432/watcher?sslmode=require"
SECRET = "arn:aws:secretsmanager:us-east-1:111122223333:secret:watcher-AbCdEf"
ECS = Template(
    "ecs.yaml",
    QueueUrl="https://sqs.us-east-1.amazonaws.com/111122223333/tasks",
    BusName="speaker-search-events",
    RoleArn="arn:aws:iam::111122223333:role/watcher",
    DatabaseDsn=DSN,
    DatabaseSecretArn=SECRET,
)


def on_the_page(name: str) -> Any:
    """A block of docs/feeding.md, by the comment above it."""
    (text,) = re.findall(rf"<!-- {name} -->\n+```json\n(.*?)\n```", FEEDING, re.DOTALL)
    return json.loads(text)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def container() -> dict[str, Any]:
    (found,) = ECS.properties("TaskDefinition")["ContainerDefinitions"]
    return found  # type: ignore[no-any-return]


def settings() -> Settings:
    """What the containers run with."""
    environ = {each["Name"]: each["Value"] for each in container()["Environment"]}
    return parse((DEPLOY / "container.yaml").read_text(), "container.yaml", environ)


@pytest.mark.parametrize(("rule", "pattern"), [("StartedRule", "rule pattern"), ("ChangedRule", "notification pattern")])
def test_the_rules_are_those_of_the_page(rule: str, pattern: str) -> None:
    """Each rule has the pattern of docs/feeding.md, and delivers to the queue; what cannot be delivered is kept."""
    ours = FEED.properties(rule)
    assert ours["EventPattern"] == on_the_page(pattern)
    (target,) = ours["Targets"]
    assert target["Arn"] == on_the_page("queue policy")["Statement"][0]["Resource"]
    assert target["DeadLetterConfig"]["Arn"].endswith(":speaker-search-tasks-undelivered")


def test_the_policy_of_the_queue_is_that_of_the_page() -> None:
    """Only the two rules may send to the queue, and to the queue for what could not be delivered."""
    assert FEED.properties("TaskQueuePolicy")["PolicyDocument"] == on_the_page("queue policy")
    (ours,) = FEED.properties("UndeliveredQueuePolicy")["PolicyDocument"]["Statement"]
    (page,) = on_the_page("queue policy")["Statement"]
    assert {**ours, "Sid": "", "Resource": ""} == {**page, "Sid": "", "Resource": ""}


def test_the_role_has_the_permissions_of_the_policies() -> None:
    """The watcher may do what the policies in config/deploy/iam say for its source and its sink, and nothing else."""
    role = FEED.properties("WatcherRole")
    (policy,) = role["Policies"]
    names = ("watch", "source-sqs", "sink-eventbridge")
    policies = [json.loads((DEPLOY / "iam" / f"{name}.json").read_text()) for name in names]
    assert policy["PolicyDocument"]["Statement"] == [statement for each in policies for statement in each["Statement"]]
    assert "ManagedPolicyArns" not in role


def test_no_role_can_be_used_from_another_account() -> None:
    """Each role trusts one service, for resources of this account only."""
    for template in (FEED, ECS):
        for role in template.of_type("AWS::IAM::Role").values():
            (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
            assert set(statement["Principal"]) == {"Service"}
            assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}


def test_the_role_that_starts_containers_reads_one_secret() -> None:
    """Beside what ECS needs, the execution role may read the password of the database."""
    (policy,) = ECS.properties("ExecutionRole")["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (as_list(statement["Action"]), statement["Resource"]) == (["secretsmanager:GetSecretValue"], SECRET)


def test_the_queue_is_as_advised() -> None:
    """As docs/operating.md says: messages are kept for 14 days, there is no redrive policy, and the content is encrypted."""
    queue = FEED.properties("TaskQueue")
    assert queue["MessageRetentionPeriod"] == 14 * 24 * 3600
    assert queue["SqsManagedSseEnabled"] is True
    assert "RedrivePolicy" not in queue


def test_containers_run_with_valid_settings() -> None:
    """The configuration of the image with the environment of the task is valid, on PostgreSQL, with the password as a secret."""
    ours = settings()
    assert ours.store.type == "postgres"
    assert ours.store.dsn.get_secret_value() == DSN
    assert container()["Secrets"] == [{"Name": "PGPASSWORD", "ValueFrom": f"{SECRET}:password::"}]
    assert container()["StopTimeout"] >= ours.limits.stop_deadline + 5
    assert set(FEED.outputs) <= set(ECS.parameters)
    assert ECS.properties("TaskDefinition")["TaskRoleArn"] == ECS.parameters["RoleArn"]


def test_containers_have_no_privileges() -> None:
    """As with run.sh: a read-only root file system, no capabilities, a first process that handles early signals, the user of the image."""
    ours = container()
    assert ours["ReadonlyRootFilesystem"] is True
    assert ours["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert "User" not in ours
    assert "--memory 512m" in (DEPLOY / "run.sh").read_text()
    assert ECS.properties("TaskDefinition")["Memory"] == "512"
    assert "SecurityGroupIngress" not in ECS.properties("SecurityGroup")


def test_the_health_check_is_that_of_the_image() -> None:
    """ECS ignores the health check of an image, so the template repeats its command and its times."""
    check = container()["HealthCheck"]
    options, command = re.search(r"^HEALTHCHECK (.*) \\\n  CMD (\[.*\])$", DOCKERFILE, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert check["Command"] == ["CMD", *json.loads(command)]
    interval, timeout, retries = (int(re.search(rf"--{name}=(\d+)", options)[1]) for name in ("interval", "timeout", "retries"))  # type: ignore[index]
    assert (check["Interval"], check["Timeout"], check["Retries"]) == (interval, timeout, retries)
    assert f"EXPOSE {container()['PortMappings'][0]['ContainerPort']}" in DOCKERFILE


def test_an_update_replaces_one_of_three_replicas() -> None:
    """With three replicas, ECS stops one at most, and starts one at most beside them; a version that does not start is rolled back."""
    service = ECS.properties("Service")
    assert service["DesiredCount"] == 3
    deployment = service["DeploymentConfiguration"]
    assert -(-3 * deployment["MinimumHealthyPercent"] // 100) == 2
    assert 3 * deployment["MaximumPercent"] // 100 == 4
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}


def test_each_alarm_says_what_to_do_and_whom_it_tells() -> None:
    """Each alarm has a description and, if there is a topic, an action. The metric of the log counts an event that exists."""
    for template in (FEED, ECS):
        alarms = template.of_type("AWS::CloudWatch::Alarm")
        assert alarms
        assert all(alarm["AlarmDescription"].count(".") >= 1 and len(alarm["AlarmActions"]) == 1 for alarm in alarms.values())
    (counted,) = ECS.of_type("AWS::Logs::MetricFilter").values()
    event = re.fullmatch(r'\{ \$\.event = "(\w+)" \}', counted["FilterPattern"])[1]  # type: ignore[index]
    assert event in MESSAGES
    (name,) = [each["MetricName"] for each in counted["MetricTransformations"]]
    assert ECS.properties("UnhealthyAlarm")["MetricName"] == name


def test_there_is_no_other_template() -> None:
    """Each template is read by these tests."""
    assert {path.name for path in TEMPLATES.iterdir()} == {FEED.path.name, ECS.path.name}
