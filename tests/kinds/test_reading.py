"""Which operations of AWS a kind may call: those that only read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from botocore import xform_name
from botocore.loaders import create_loader

from watcher.adapters.aws.service_models import ServiceModels
from watcher.kinds.reading import ISSUING, WRITING, why_not_reading

ISSUES_CREDENTIALS = "issues credentials, a token, or a link that works like one"

_TAGS = re.compile(r"<[^>]+>")
_FIRST_WORD = re.compile(
    r"\W*(?:this (?:operation |action |api |request )?|use this operation to |used to )?"
    r"(?P<word>generates?|creates?|starts?|initiates?|issues?"
    r"|registers?|sends?|requests|invokes?|uploads?|begins?|runs?|executes?|claims?|removes?|deletes?|marks?|updates?|tests?|submits?"
    r"|verify|verifies|exports?|vends?|allocates?|assigns?|resets?|consumes?|acquires?|renews?|polls?)\b",
    re.IGNORECASE,
)
"""How the description of an operation begins that does more than read."""
_INSIDE = re.compile(
    r"as part of this|will create|implicit linked|invalidates|temporary (?:security |access )?(?:credential|password)", re.IGNORECASE
)
"""What such a description may say later."""

REVIEWED = {
    "apigateway.get_export": "the reply is the export",
    "apigateway.get_model_template": "the reply is the template",
    "apigateway.get_sdk": "the reply is the SDK",
    "backup-gateway.get_hypervisor": "requests information",
    "backupsearch.list_search_result_export_jobs": "the description is that of another operation",
    "bcm-data-exports.get_execution": "the description is that of another operation",
    "ce.get_rightsizing_recommendation": "computes the reply",
    "codepipeline.get_job_details": "describes a job, with credentials that belong to it",
    "codepipeline.get_third_party_job_details": "describes a job, with credentials that belong to it",
    "cognito-idp.list_web_authn_credentials": "generates a list",
    "customer-profiles.get_auto_merging_preview": "computes the reply",
    "glue.get_mapping": "computes the reply",
    "imagebuilder.get_marketplace_resource": "checks a subscription",
    "lex-models.get_export": "the reply is the export",
    "lightsail.get_container_images": "a note about another operation",
    "lookoutequipment.list_model_versions": "generates a list",
    "lookoutequipment.list_models": "generates a list",
    "mediaconvert.describe_endpoints": "an instruction to send a request",
    "quicksight.describe_topic_refresh_schedule": "the description is that of another operation",
    "rekognition.list_users": "a note about another operation",
    "ssm.get_execution_preview": "retrieves a preview that exists",
    "ssm.list_nodes_summary": "computes the reply",
    "workmail.get_impersonation_role_effect": "computes the reply",
    "workmail.get_mailbox_details": "requests information",
    "workmail.get_personal_access_token_metadata": "requests information",
    "workmail.list_aliases": "creates a call",
}
"""Operations whose descriptions look as if they do more than read, and which only read, with the reason."""


@pytest.mark.parametrize(
    ("service", "method", "http_method", "reason"),
    [
        ("batch", "describe_jobs", "POST", None),
        ("codebuild", "batch_get_builds", "POST", None),
        ("chime-sdk-voice", "get_speaker_search_task", "GET", None),
        ("bedrock-agentcore-control", "get_token_vault", "POST", None),
        ("managedblockchain-query", "get_token_balance", "POST", None),
        ("waf", "get_change_token_status", "POST", None),
        ("batch", "submit_job", "POST", "may change something"),
        ("sqs", "receive_message", "POST", "may change something"),
        ("x", "get_job", "PUT", "may change something"),
        ("x", "describe_job", "DELETE", "may change something"),
        ("cognito-identity", "get_id", "POST", "changes something, although its name does not say so"),
        ("stepfunctions", "get_activity_task", "POST", "changes something, although its name does not say so"),
        ("sts", "get_session_token", "POST", ISSUES_CREDENTIALS),
        (
            "cognito-identity",
            "get_open_id_token_for_developer_identity",
            "POST",
            ISSUES_CREDENTIALS,
        ),
        ("redshift", "get_cluster_credentials_with_iam", "POST", ISSUES_CREDENTIALS),
        ("quicksight", "get_dashboard_embed_url", "GET", ISSUES_CREDENTIALS),
    ],
)
def test_an_operation_only_reads_or_has_a_reason(service: str, method: str, http_method: str, reason: str | None) -> None:
    """The name, the HTTP method, and the lists of exceptions decide, and the reason says which."""
    assert why_not_reading(service, method, http_method) == reason


def test_the_model_knows_what_decides() -> None:
    """The service and the HTTP method of an operation come from botocore's model."""
    apis = ServiceModels()
    assert (read := apis.service("chime-sdk-voice").operations["get_speaker_search_task"]).only_reads
    assert (read.http_method, apis.service("batch").operations["describe_jobs"].http_method) == ("GET", "POST")
    assert not apis.service("cognito-identity").operations["get_id"].only_reads
    assert not apis.service("batch").operations["submit_job"].only_reads


def test_the_listed_operations_exist() -> None:
    """Each exception is the name of an operation that botocore ships, so a misspelled one is found."""
    apis = ServiceModels()
    assert [pair for pair in sorted(WRITING | ISSUING) if pair[1] not in apis.service(pair[0]).operations] == []


@pytest.mark.slow
def test_no_operation_that_passes_is_described_as_one_that_writes() -> None:
    """Of all operations that botocore ships, each that passes and whose description suggests more than reading is reviewed above.

    If an update of botocore adds one here, read its documentation: list it in `watcher/kinds/reading.py`, or above.
    """
    found = {f"{service}.{method}": text for service, method, text in _passing() if _FIRST_WORD.match(text) or _INSIDE.search(text)}
    assert {name: text[:200] for name, text in found.items() if name not in REVIEWED} == {}


def _passing() -> Iterator[tuple[str, str, str]]:
    """The service, method, and beginning of the description of each operation that passes and that the model does not call read-only."""
    loader = create_loader()
    for service in loader.list_available_services("service-2"):
        for name, operation in loader.load_service_model(service, "service-2")["operations"].items():
            method = xform_name(name)
            if not operation.get("readonly") and why_not_reading(service, method, operation["http"]["method"]) is None:
                yield service, method, _TAGS.sub("", operation.get("documentation", "")).strip()[:300]
