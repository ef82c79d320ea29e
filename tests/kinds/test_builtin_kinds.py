"""The shipped kinds against the API models that botocore ships, and against what the rest of the product expects of a kind."""

import json
import re
from functools import cache

import pytest

from watcher.adapters.aws.service_models import ServiceModels
from watcher.kinds.api_check import check_kind
from watcher.kinds.catalog import builtin_catalog, builtin_texts
from watcher.kinds.form import KindForm
from watcher.kinds.kind import Kind, Phase
from watcher.yaml_text import parse_yaml_text

TEXTS = builtin_texts()
CATALOG = builtin_catalog()
KINDS = pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)

SIGNS = [" ", "\n", "\t", "\x00", "\x7f", "?", "#", "%", "&", '"', "\\", "<", "/../", "..", "é"]
UNSAFE = ["", *SIGNS, *(f"a{sign}b" for sign in SIGNS), "a\n", "a" * 2000]
"""Values that no pattern may accept: each could change a URL, or be more than one word in a log."""


@cache
def apis() -> ServiceModels:
    return ServiceModels()


def test_at_least_24_kinds_ship() -> None:
    """Besides the two of the voice service, by which the product began."""
    assert len(CATALOG) >= 26
    assert len(CATALOG.services) >= 20


@pytest.mark.parametrize("file", TEXTS)
def test_a_shipped_kind_agrees_with_the_model_of_its_api(file: str) -> None:
    """The operations exist and only read, the parameters and paths exist, and each word of an enum has a class."""
    form = KindForm.model_validate_json(json.dumps(parse_yaml_text(TEXTS[file]).data), strict=True)
    assert check_kind(form, apis()) == []


@pytest.mark.parametrize("file", TEXTS)
def test_a_file_has_one_kind_and_says_what_it_is(file: str) -> None:
    """Its name is that of the kind, and its first line is a comment."""
    assert file.removesuffix(".yaml") in CATALOG
    assert re.match(r"# [A-Z].+\.", TEXTS[file])


@KINDS
def test_an_identifier_is_safe_in_a_request(kind: Kind) -> None:
    """The pattern of each param accepts its example, and nothing that could change a URL or a body."""
    for param in kind.params:
        assert param.pattern.fullmatch(param.example)
        accepted = [value for value in UNSAFE if param.pattern.fullmatch(value)]
        assert accepted == ["a..b"] * (kind.service == "chime-sdk-voice" and param is kind.params[-1]), "intake refuses two dots in any id"


@KINDS
def test_the_arn_of_a_task_gives_its_identifiers(kind: Kind) -> None:
    """Where an example of an identifier is an ARN, the template of the kind recognizes it, and takes all other identifiers from it."""
    examples = {param.name: param.example for param in kind.params}
    arns = [example for example in examples.values() if example.startswith("arn:")]
    for example in arns:
        assert kind.arn is not None
        found = kind.arn.match(example)
        assert found is not None
        assert {**examples, **found.values} == examples
        assert set(found.values) == set(examples) - {kind.params[-1].name}
    if kind.arn is not None and not arns:
        assert kind.params[-1].name in kind.arn.names


@KINDS
def test_the_call_that_starts_a_task_exists(kind: Kind) -> None:
    """CloudTrail names a call as the API does, and the call is not one that only reads."""
    if kind.start is not None:
        calls = {operation.name: operation for operation in apis().service(kind.service).operations.values()}
        assert kind.start.event_name in calls
        assert not calls[kind.start.event_name].only_reads
        assert kind.start.source.startswith("aws.")


@KINDS
def test_a_result_can_be_shown_under_every_setting(kind: Kind) -> None:
    """Each kind with results says what is private in them, so `hashed` and `count` show the rest."""
    assert kind.results.expression is None or kind.results.private is not None


@KINDS
def test_the_start_of_a_task_is_that_of_one_status(kind: Kind) -> None:
    """`started` is the time of the last open status before an end, so a kind with one such status has no `started`."""
    assert kind.reply.started is None or kind.running_status is not None


def test_kinds_of_one_quota_are_of_one_operation_or_share_it_by_name() -> None:
    """Those of media pipelines share a quota, as AWS documents; all others are counted by operation."""
    shared = [kind.name for kind in CATALOG if sum(other.quota == kind.quota for other in CATALOG) > 1]
    assert shared == ["media-speaker-search", "media-voice-tone"]


@pytest.mark.parametrize(
    ("status", "phase", "succeeded"),
    [
        ("CREATE_IN_PROGRESS", Phase.OPEN, False),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Phase.OPEN, False),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", Phase.OPEN, False),
        ("DELETE_IN_PROGRESS", Phase.OPEN, False),
        ("CREATE_COMPLETE", Phase.TERMINAL, True),
        ("UPDATE_COMPLETE", Phase.TERMINAL, True),
        ("IMPORT_COMPLETE", Phase.TERMINAL, True),
        ("ROLLBACK_COMPLETE", Phase.TERMINAL, False),
        ("UPDATE_ROLLBACK_COMPLETE", Phase.TERMINAL, False),
        ("DELETE_COMPLETE", Phase.TERMINAL, False),
    ],
)
def test_a_stack_succeeds_when_it_has_what_it_was_changed_for(status: str, phase: Phase, succeeded: bool) -> None:
    """A rollback leaves what was there before, and a deletion leaves nothing."""
    kind = CATALOG["cloudformation-stack"]
    assert (kind.phase(status), kind.succeeded(status)) == (phase, succeeded)


DONE = {"name": "main", "exitCode": 0}


@pytest.mark.parametrize(
    ("task", "status"),
    [
        ({"lastStatus": "RUNNING", "containers": [{"name": "main"}]}, "RUNNING"),
        ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [DONE]}, "STOPPED"),
        ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [DONE, {"exitCode": 1}]}, "STOPPED_WITH_ERROR"),
        ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "containers": [{"name": "main"}]}, "STOPPED_WITH_ERROR"),
        ({"lastStatus": "STOPPED", "stopCode": "UserInitiated", "containers": [DONE]}, "STOPPED_WITH_ERROR"),
        ({"lastStatus": "STOPPED", "stopCode": "TaskFailedToStart"}, "STOPPED_WITH_ERROR"),
    ],
)
def test_a_container_task_succeeds_when_all_containers_do(task: dict[str, object], status: str) -> None:
    """ECS says only that a task has stopped; the exit codes and the reason to stop say how."""
    assert CATALOG["ecs-task"].reply.status.find(task) == status


@pytest.mark.parametrize(
    ("crawler", "status"),
    [
        ({"State": "READY"}, "READY"),
        ({"State": "RUNNING", "LastCrawl": {"Status": "FAILED"}}, "RUNNING"),
        ({"State": "STOPPING", "LastCrawl": {"Status": "FAILED"}}, "STOPPING"),
        ({"State": "READY", "LastCrawl": {"Status": "SUCCEEDED"}}, "SUCCEEDED"),
    ],
)
def test_a_crawler_stands_for_its_present_or_last_crawl(crawler: dict[str, object], status: str) -> None:
    """Its state says whether a crawl runs, and nothing about how the last one ended."""
    assert CATALOG["glue-crawler"].reply.status.find(crawler) == status
