"""Setting types for the names of queues, topics and event buses. They check the form only; `watcher doctor` checks that a name exists."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_QUEUE_URL = re.compile(r"https?://[^/\s?#@]+(?:/[^/\s?#]+)*/(?P<name>[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo)")
_QUEUE_ARN = re.compile(r"arn:(?P<partition>aws[a-z-]*):sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>\S+)")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(?:[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo)")
_BUS = re.compile(r"(?:arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}")

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


QueueUrl = Annotated[str, AfterValidator(_check_queue_url)]
TopicArn = Annotated[str, AfterValidator(_check_topic_arn)]
BusName = Annotated[str, AfterValidator(_check_bus)]
