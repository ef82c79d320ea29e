"""The limits of a client follow from the kinds whose tasks it polls."""

from __future__ import annotations

import pytest

from tests.adapters.aws.kinds import CATALOG
from watcher.adapters.aws.client_limits import MIB, ClientLimits, client_limits
from watcher.kinds.catalog import builtin_catalog


@pytest.mark.parametrize(
    ("service", "limits"),
    [
        ("batch", ClientLimits(50, 100 * MIB // 8)),
        ("athena", ClientLimits(50, 50 * MIB // 8)),
        ("cloudformation", ClientLimits(50, MIB)),
        ("sqs", ClientLimits(50, 32 * MIB)),
        ("sns", ClientLimits(50, 4 * MIB)),
    ],
)
def test_a_client_has_the_limits_of_its_service(service: str, limits: ClientLimits) -> None:
    """A polled service that describes many tasks in a reply may send 128 KiB for each of them; any other one MiB in all."""
    assert client_limits(service, CATALOG, 50) == limits


def test_each_quota_of_a_service_has_its_connections() -> None:
    """Two quotas of the voice service may have as many calls in flight each; sources and sinks have ten connections at least."""
    assert client_limits("chime-sdk-voice", builtin_catalog(), 3).connections == 6
    assert client_limits("batch", CATALOG, 3).connections == 3
    assert client_limits("sns", CATALOG, 3).connections == 10
    assert client_limits("sns", None, 3).connections == 10
