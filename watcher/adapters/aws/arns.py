"""How queues, topics and buses are named in a configuration, checked by shape before anything is sent anywhere.

A wrong name is told with what would be right. Whether it exists is for `check` to find out.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_QUEUE_URL = re.compile(r"https?://[^/\s?#@]+(?:/[^/\s?#]+)*/(?P<name>[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo)")
_QUEUE_ARN = re.compile(r"arn:aws[a-z-]*:sqs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<name>\S+)")
_TOPIC_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(?:[A-Za-z0-9_-]{1,256}|[A-Za-z0-9_-]{1,251}\.fifo)")
_BUS = re.compile(r"(?:arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}")

FIFO = ".fifo"
"""AWS ends the names of FIFO queues and topics with this, and no others."""


def _queue_url(value: str) -> str:
    if _QUEUE_URL.fullmatch(value):
        return value
    if arn := _QUEUE_ARN.fullmatch(value):
        raise ValueError(f"this is an ARN; the URL is https://sqs.{arn['region']}.amazonaws.com/{arn['account']}/{arn['name']}")
    raise ValueError("a queue is named by its URL, such as https://sqs.us-east-1.amazonaws.com/111122223333/my-queue")


def _topic_arn(value: str) -> str:
    if _TOPIC_ARN.fullmatch(value):
        return value
    raise ValueError("a topic is named by its ARN, such as arn:aws:sns:us-east-1:111122223333:my-topic")


def _bus(value: str) -> str:
    if _BUS.fullmatch(value):
        return value
    raise ValueError("a bus is named by its name or its ARN, such as default or arn:aws:events:us-east-1:111122223333:event-bus/my-bus")


QueueUrl = Annotated[str, AfterValidator(_queue_url)]
TopicArn = Annotated[str, AfterValidator(_topic_arn)]
BusName = Annotated[str, AfterValidator(_bus)]
