"""The service cannot be reached at all: its name is not known, or nobody answers the knock."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from watcher import errors
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.model import TaskRef

ENDPOINT = "AWS_ENDPOINT_URL_CHIME_SDK_VOICE"


@pytest.fixture
def full() -> Iterator[int]:
    """The port of a listener whose queue is full, so that the kernel answers no further knock."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            knock = opened.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def refusal(probe: AwsProbe, ref: TaskRef) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await probe.observe(ref)
    return caught.value


@pytest.mark.parametrize("why", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_a_name_that_is_not_known_is_unavailable(aws: AwsClients, aws_env: pytest.MonkeyPatch, ref: TaskRef, why: int) -> None:
    """DNS says no, or nothing: the network's trouble, not the task's."""
    known, asked = socket.getaddrinfo, []

    def unknown(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "voice.test":
            return known(host, *args, **kwargs)
        asked.append(host)
        raise socket.gaierror(why, "no such name")

    aws_env.setattr(socket, "getaddrinfo", unknown)
    aws_env.setenv(ENDPOINT, "http://voice.test:8080")
    error = await refusal(AwsProbe(aws, call_deadline=10, clock=time.time), ref)
    assert type(error) is errors.Unavailable
    assert asked, "it was looked up"


async def test_a_connection_that_is_never_made_ends_at_the_deadline(
    aws: AwsClients, aws_env: pytest.MonkeyPatch, full: int, ref: TaskRef
) -> None:
    """A peer that drops every packet is a time-out of the call, as one that never replies."""
    aws_env.setenv(ENDPOINT, f"http://127.0.0.1:{full}")
    await aws.client("chime-sdk-voice")
    error = await refusal(AwsProbe(aws, call_deadline=0.3, clock=time.time), ref)
    assert (type(error), error.code) == (errors.Unavailable, "timeout")
