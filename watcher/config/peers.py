"""The peers of the sources and sinks of a configuration, as attributes of OpenTelemetry's semantic conventions.

They identify only a queue, a topic, a bus, a function, or a host. They contain no path and no query of a URL, which may be secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from watcher.config.settings import Settings
from watcher.section import Section


def peers_of(settings: Settings) -> Mapping[str, Mapping[str, str]]:
    """Return the attributes of each source and sink, by its name."""
    return {each.name: _peer(each) for each in (*settings.sources, *settings.sinks)}


def _peer(section: Section) -> Mapping[str, str]:
    match getattr(section, "type", ""):
        case "sqs":
            return _messaging("aws_sqs", section.queue_url.rpartition("/")[2])  # type: ignore[attr-defined]  # `type` says the class
        case "sns":
            return _messaging("aws.sns", section.topic_arn.rpartition(":")[2])  # type: ignore[attr-defined]
        case "eventbridge":
            return {"rpc.system": "aws-api", "rpc.service": "EventBridge", "rpc.method": "PutEvents"}
        case "kinesis":
            return {"rpc.system": "aws-api", "rpc.service": "Kinesis", "rpc.method": "PutRecords"}
        case "lambda":
            function = section.function.partition(":function:")[2] or section.function  # type: ignore[attr-defined]
            return {"faas.invoked_provider": "aws", "faas.invoked_name": function.partition(":")[0]}
        case "stepfunctions":
            return {"rpc.system": "aws-api", "rpc.service": "SFN"}
        case "webhook":
            return {"http.request.method": "POST", "server.address": urlsplit(section.url).hostname or ""}  # type: ignore[attr-defined]
    return {}


def _messaging(system: str, destination: str) -> Mapping[str, str]:
    return {"messaging.system": system, "messaging.destination.name": destination}
