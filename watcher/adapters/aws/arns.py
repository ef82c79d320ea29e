"""Setting types for the names of queues, topics, event buses, streams and functions.

They check the form only; `watcher doctor` checks that a name exists.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_QUEUE_URL = re.compile(r"https?://[^/\s?#@]+(?:/[^/\s?#]+)*/(?P<name>[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo)")
_QUEUE_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>\S+)")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(?:[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo)")
_BUS = re.compile(r"(?:arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}")
_STREAM = re.compile(r"(?:arn:aws[a-z-]*:kinesis:[a-z0-9-]+:\d{12}:stream/)?[A-Za-z0-9_.-]{1,128}")
_FUNCTION = re.compile(r"(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,64}(?::(?:\$LATEST|[A-Za-z0-9_-]{1,128}))?")
_QUEUE_HOST = re.compile(
    r"(?:vpce-[a-z0-9-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-\d+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)"
    r"|(?:(?P<old>[a-z]{2,}(?:-[a-z]+)+-\d+)\.)?queue\.amazonaws\.com(?:\.cn)?"
)
"""The hosts of SQS: of a Region, with FIPS, over IPv6, of a VPC endpoint, and the old form that begins with the Region."""

FIFO_SUFFIX = ".fifo"
"""AWS requires this suffix for FIFO queues and FIFO topics, and allows it for no others."""


def _check_queue_url(value: str) -> str:
    if _QUEUE_URL.fullmatch(value):
        return value
    if arn := _QUEUE_ARN.fullmatch(value):
        domain = "amazonaws.com.cn" if arn["partition"] == "aws-cn" else "amazonaws.com"
        url = f"https://sqs.{arn['region']}.{domain}/{arn['account']}/{arn['name']}"
        raise ValueError(f"expected the URL of a queue, got its ARN; the URL is {url}")
    raise ValueError("expected the URL of a queue, such as https://sqs.us-east-1.amazonaws.com/111122223333/my-queue")


def _check_topic_arn(value: str) -> str:
    if _TOPIC_ARN.fullmatch(value):
        return value
    raise ValueError("expected the ARN of a topic, such as arn:aws:sns:us-east-1:111122223333:my-topic")


def _check_bus(value: str) -> str:
    if _BUS.fullmatch(value):
        return value
    raise ValueError(
        "expected the name or the ARN of an event bus, such as default or arn:aws:events:us-east-1:111122223333:event-bus/my-bus"
    )


def _check_stream(value: str) -> str:
    if _STREAM.fullmatch(value):
        return value
    raise ValueError(
        "expected the name or the ARN of a stream, such as my-stream or arn:aws:kinesis:us-east-1:111122223333:stream/my-stream"
    )


def _check_function(value: str) -> str:
    if _FUNCTION.fullmatch(value):
        return value
    raise ValueError(
        "expected the name or the ARN of a function, with or without an alias or a version, such as my-function, my-function:live or"
        " arn:aws:lambda:us-east-1:111122223333:function:my-function:live"
    )


def queue_region(url: str) -> str | None:
    """Return the Region in the URL of a queue. None if its host contains none, such as that of a local server."""
    host = url.partition("://")[2].partition("/")[0].partition(":")[0].lower()
    named = _QUEUE_HOST.fullmatch(host)
    if named is None:
        return None
    return named["region"] or named["old"] or "us-east-1"  # queue.amazonaws.com, the oldest form, is in us-east-1


def arn_region(name: str) -> str | None:
    """Return the Region in an ARN. None for a plain name."""
    parts = name.split(":")
    return parts[3] or None if parts[0] == "arn" and len(parts) > 5 else None


QueueUrl = Annotated[str, AfterValidator(_check_queue_url)]
TopicArn = Annotated[str, AfterValidator(_check_topic_arn)]
BusName = Annotated[str, AfterValidator(_check_bus)]
StreamName = Annotated[str, AfterValidator(_check_stream)]
FunctionName = Annotated[str, AfterValidator(_check_function)]
