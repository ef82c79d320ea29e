"""Real jobs on moto's server, watched to their ends by the runtime with the probe of AWS: one for each kind that the server has."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest

from tests.adapters.aws.moto_jobs import JOBS, Job
from tests.process import HANG_S
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Event
from watcher.ports import Delivered, Outcome
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Adapters
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.process

CATALOG = builtin_catalog()
QUICK = ServiceSettings(
    pace=PaceSettings(rate=1000, burst=10),
    cadence=CadenceSettings(type="fixed", every=0.2, min_gap=0.05),
    catalog=CATALOG,
    region="us-east-1",
)


@pytest.fixture(autouse=True)
def pages_are_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto replies with an object for the number of pages of a document, where the API of Amazon Textract has a number."""
    from moto.textract.models import TextractBackend

    monkeypatch.setattr(TextractBackend, "PAGES", 12)


async def events_of(message: dict[str, str]) -> list[dict[str, Any]]:
    """All events about the task in a message. Returns when its watch has ended."""
    queue, inbox, ended = SimulatedQueue(finite=False), SimulatedInbox(), anyio.Event()
    queue.put(json.dumps(message))

    def accept(event: Event) -> Outcome:
        if event.terminal:
            ended.set()
        return Delivered()

    inbox.answer = accept
    aws = AwsClients(catalog=CATALOG)
    probe = AwsProbe(aws, CATALOG, call_deadline=30.0, clock=time.time)
    adapters = Adapters([queue], probe, MemoryStore(MemoryStoreSettings()), [inbox])
    try:
        async with assemble(adapters, QUICK) as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            with anyio.fail_after(HANG_S):
                await ended.wait()
            watcher.stop()
    finally:
        await aws.close()
    return inbox.bodies


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
async def test_a_job_is_watched_to_its_end(job: Job, moto_url: str) -> None:
    """Its events have the statuses that it went through, and the last one has the status with which it ended."""
    events = await events_of({"kind": job.kind, **job.start(moto_url)})
    *before, last = [event["data"] for event in events]
    assert (last["to"], last["terminal"]) == (job.status, True)
    assert [data["to"] for data in before] == list(job.statuses)
    if job.result is not None:
        assert last["result"] == job.result
