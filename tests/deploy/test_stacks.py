"""moto creates both stacks of `config/deploy/cloudformation`, and the rules of the first one deliver tasks to its queue.

moto leaves out queue policies, alarms, and metric filters, with a warning: `tests/deploy/test_cloudformation.py` reads those.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.deploy.cloudformation import TEMPLATES, Template
from tests.moto_server import plain_client
from tests.pages import ROOT
from watcher.core.intake.submissions import Submission, read
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Scope

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore:Tried to parse AWS:UserWarning")]

DATABASE = {
    "DatabaseDsn": "postgresql://watcher@db.example.com:5432/watcher?sslmode=require",
    "DatabaseSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:watcher-AbCdEf",
}


def create(url: str, template: str, **parameters: str) -> dict[str, str]:
    """Create a stack, and return its outputs."""
    stacks = plain_client("cloudformation", url)
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    text = (TEMPLATES / template).read_text()
    stacks.create_stack(StackName=template.partition(".")[0], TemplateBody=text, Parameters=given, Capabilities=["CAPABILITY_IAM"])
    (stack,) = stacks.describe_stacks(StackName=template.partition(".")[0])["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def recorded(name: str) -> dict[str, Any]:
    """A record of CloudTrail, as EventBridge delivers it."""
    found: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "messages" / name).read_text())
    return found


def test_what_the_rules_deliver_starts_a_watch(moto_url: str) -> None:
    """Of a call that starts a task and a call that reads one, the queue gets the first, and the watcher reads a task from it."""
    queue = create(moto_url, "feed.yaml")["QueueUrl"]
    events = [recorded("accepted/cloudtrail.json"), recorded("ignored/cloudtrail-get.json")]
    entries = [{"Source": each["source"], "DetailType": each["detail-type"], "Detail": json.dumps(each["detail"])} for each in events]
    assert plain_client("events", moto_url).put_events(Entries=entries)["FailedEntryCount"] == 0
    (message,) = plain_client("sqs", moto_url).receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    (task,) = read(message["Body"].encode(), builtin_catalog(), now=1.8e9, scopes={"default": Scope("us-east-1")})
    assert isinstance(task, Submission)


def test_the_second_stack_takes_the_outputs_of_the_first(moto_url: str) -> None:
    """The replicas run with the queue and the bus of feed.yaml, and the database accepts them."""
    feed = create(moto_url, "feed.yaml")
    machines = plain_client("ec2", moto_url)
    network = machines.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = [each["SubnetId"] for each in machines.describe_subnets()["Subnets"][:2]]
    database = machines.create_security_group(GroupName="database", Description="database", VpcId=network)["GroupId"]
    containers = plain_client("ecs", moto_url)
    containers.create_cluster(clusterName="main")
    given = {"Image": "image", "Cluster": "main", "VpcId": network, "SubnetIds": ",".join(subnets), "DatabaseSecurityGroupId": database}
    ours = create(moto_url, "ecs.yaml", **feed, **given, **DATABASE)
    (task,) = containers.list_task_definitions()["taskDefinitionArns"]
    definition = containers.describe_task_definition(taskDefinition=task)["taskDefinition"]
    environment = {each["name"]: each["value"] for each in definition["containerDefinitions"][0]["environment"]}
    assert (environment["WATCHER_QUEUE_URL"], environment["WATCHER_BUS"]) == (feed["QueueUrl"], feed["BusName"])
    (group,) = machines.describe_security_groups(GroupIds=[database])["SecurityGroups"]
    assert ours["SecurityGroupId"] in [pair["GroupId"] for rule in group["IpPermissions"] for pair in rule["UserIdGroupPairs"]]
    assert set(Template("ecs.yaml").required) == {*feed, *given, *DATABASE}
