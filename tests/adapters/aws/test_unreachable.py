"""An unreachable service: its host name does not resolve, or its host does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from watcher import errors
from watcher.adapters.aws.session import AwsClients

ENDPOINT = "AWS_ENDPOINT_URL_CHIME_SDK_VOICE"


@pytest.fixture
def full() -> Iterator[int]:
    """The port of a listener whose queue is full, so that the kernel answers no further connection request."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def failed_call(aws: AwsClients, deadline: float) -> errors.RemoteError:
    params = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": "task1"}
    with pytest.raises(errors.RemoteError) as caught:
        await aws.call("chime-sdk-voice", "get_speaker_search_task", params, deadline=deadline)
    return caught.value


@pytest.mark.parametrize("why", [socket.EAI_NONAME, socket.EAI_AGAIN])
async def test_a_name_that_is_not_known_is_unavailable(aws: AwsClients, aws_env: pytest.MonkeyPatch, why: int) -> None:
    """A host name that DNS cannot resolve, for good or for now, raises Unavailable."""
    known, lookups = socket.getaddrinfo, []

    def unknown(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "voice.test":
            return known(host, *args, **kwargs)
        lookups.append(host)
        raise socket.gaierror(why, "no such name")

    aws_env.setattr(socket, "getaddrinfo", unknown)
    aws_env.setenv(ENDPOINT, "http://voice.test:8080")
    error = await failed_call(aws, deadline=60)
    assert type(error) is errors.Unavailable
    assert lookups, "the name was looked up"


async def test_a_connection_that_is_never_made_ends_at_the_deadline(aws: AwsClients, aws_env: pytest.MonkeyPatch, full: int) -> None:
    """A call to a host that drops every packet ends at its deadline with a timeout."""
    aws_env.setenv(ENDPOINT, f"http://127.0.0.1:{full}")
    await aws.client("chime-sdk-voice")
    error = await failed_call(aws, deadline=0.3)
    assert (type(error), error.code) == (errors.Unavailable, "timeout")
