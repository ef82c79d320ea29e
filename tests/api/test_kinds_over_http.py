"""The kinds and the targets over HTTP."""

from __future__ import annotations

import pytest

from tests.api.running import api_client
from tests.runtime.conftest import MakeWorld
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Scope
from watcher.runtime.settings import ServiceSettings

pytestmark = pytest.mark.looptime


async def test_what_a_message_can_name_is_listed(world: MakeWorld) -> None:
    """Each kind, and each target with its Region and, if it is known, its account. Declarations are those of own kinds only."""
    targets = {"eu": Scope("eu-central-1", "111122223333")}
    async with api_client(world(finite=False, settings=ServiceSettings(region="us-east-1", targets=targets))) as client:
        found = (await client.get("/v1/kinds")).json()
    assert [kind["kind"] for kind in found["kinds"]] == list(builtin_catalog().kinds)
    assert {kind["declaration"] for kind in found["kinds"]} == {None}
    assert found["targets"] == [
        {"name": "default", "region": "us-east-1", "account": None},
        {"name": "eu", "region": "eu-central-1", "account": "111122223333"},
    ]
