"""Decides whether an operation of an API only reads, so that a watcher may repeat it. Pure.

A model says little about this. Of the operations that botocore 1.40 knows, one in forty has the trait `readonly`, and most protocols
send each request by POST. So the name decides, with two corrections: another HTTP method than GET, HEAD, and POST, and the lists below,
of operations whose names promise less than they do. `tests/kinds/test_reading.py` looks for further ones in the descriptions of all
operations that botocore ships.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

READING_PREFIXES = ("get_", "batch_get_", "describe_", "batch_describe_", "list_")
"""How the names of operations that only read begin, as methods of botocore's client."""
READING_NAMES = ", ".join(f"{prefix}..." for prefix in READING_PREFIXES)
"""The same for an error message."""
_READING_METHODS = frozenset({"GET", "HEAD", "POST"})
"""POST is here because all protocols but the REST ones use it alone, and REST APIs use it for long requests: `DescribeJobs` of Batch."""

_WRITE: Mapping[str, str] = {
    "cognito-identity": "get_id",
    "cognito-idp": "get_user_attribute_verification_code",
    "ec2": "get_flow_logs_integration_template",
    "entityresolution": "get_match_id",
    "finspace-data": "get_working_location",
    "frauddetector": "get_event_prediction",
    "importexport": "get_shipping_label",
    "inspector": "get_assessment_report",
    "iot": "get_registration_code",
    "sagemaker": "get_scaling_configuration_recommendation",
    "stepfunctions": "get_activity_task",
    "taxsettings": "get_tax_registration_document",
    "xray": "get_sampling_targets",
}
"""By service, the operations that create, start, or send something, or take work from a queue."""
_ISSUE: Mapping[str, str] = {
    "bedrock-agentcore": "get_resource_api_key",
    "connectparticipant": "get_authentication_url",
    "emr-serverless": "get_dashboard_for_job_run",
    "gamelift": "get_compute_access get_instance_access",
    "kinesis-video-signaling": "get_ice_server_config",
    "kms": "get_parameters_for_import",
    "lightsail": "get_instance_access_details",
    "m2": "get_signed_bluinsights_url",
    "marketplace-reporting": "get_buyer_dashboard",
    "payment-cryptography": "get_parameters_for_export get_parameters_for_import",
    "redshift": "get_cluster_credentials_with_iam",
    "s3control": "get_data_access",
    "secretsmanager": "get_random_password",
}
"""By service, the operations that issue credentials, and whose names `_ISSUING_NAME` does not match."""
_ISSUING_NAME = re.compile(r"get_(\w+_)?(credentials|tokens?)(_(for|from)_\w+)?|get_(\w+_)?(embed|login|presigned|session|upload)_url")
"""Names of operations that issue credentials, tokens, or links that work like a token. Some create a user or a session for that."""


def _pairs(listed: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return ((service, method) for service, methods in listed.items() for method in methods.split())


WRITING = frozenset(_pairs(_WRITE))
"""Pairs of a service and a method that changes something, although its name does not say so."""
ISSUING = frozenset(_pairs(_ISSUE))
"""Pairs of a service and a method that issues credentials, although its name does not say so."""


def why_not_reading(service: str, method: str, http_method: str = "POST") -> str | None:
    """Return why an operation may do more than read; None if it only reads, as far as is known.

    `method` is that of botocore's client. `http_method` is that of the request.
    """
    if (service, method) in WRITING:
        return "changes something, although its name does not say so"
    if (service, method) in ISSUING or _ISSUING_NAME.fullmatch(method):
        return "issues credentials, a token, or a link that works like one"
    if not method.startswith(READING_PREFIXES) or http_method not in _READING_METHODS:
        return "may change something"
    return None
