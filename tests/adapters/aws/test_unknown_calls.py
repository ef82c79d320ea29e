"""A kind whose service or operation the SDK does not have affects no other kind."""

from __future__ import annotations

import pytest

from tests.adapters.aws.wire import Wire, reply
from watcher.adapters.aws.session import AwsClients
from watcher.errors import Unreadable


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [("cloud-front", "get_distribution", "UnknownServiceError"), ("batch", "describe_job", "no_operation")],
)
async def test_a_call_that_the_sdk_lacks_is_not_about_the_credentials(
    aws: AwsClients, wire: Wire, service: str, operation: str, code: str
) -> None:
    """The call fails without a request, ends no watch, and leaves the clients and the credentials of the other calls as they are."""
    wire.answer = reply(200, {"jobs": []})
    client = await aws.client("batch")
    with pytest.raises(Unreadable) as caught:
        await aws.call(service, operation, {}, not_found={})
    assert (caught.value.code, caught.value.unsent, caught.value.foreign, wire.requests) == (code, True, True, [])
    assert (await aws.call("batch", "describe_jobs", {"jobs": ["j-1"]}))["jobs"] == []
    assert await aws.client("batch") is client
    assert not aws._current.rejected
