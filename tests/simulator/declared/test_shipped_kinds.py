"""Each shipped kind through the real SDK: what the simulator sends by the declaration, the watcher reads by the declaration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulator.declared.conftest import Connect
from tests.simulator.declared.samples import task_of
from watcher.adapters.aws.probe import AwsProbe
from watcher.errors import CredentialsRejected, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Kind, Phase
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, SimulatedProbe, simulator
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

KINDS = [kind for kind in builtin_catalog() if kind.name not in SIMULATED_KINDS]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


CODES = {
    Throttled: {"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException", "ThrottledClientException"},
    Unavailable: {"InternalFailure"},
    CredentialsRejected: {"ExpiredTokenException", "ExpiredToken", "RequestExpired"},
}


@each_kind
async def test_a_task_is_read_until_it_ends(kind: Kind, probe_of: Connect) -> None:
    """Each status of a success and of a failure is read as it is, in order, as a probe without sockets observes it."""
    now = time.time()
    scenario = Scenario(latency=0, durations="queue=10,run=20", failed=0, stopped=0)
    async with simulator(scenario, clock=lambda: now, kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        assert sim.declared is not None
        in_process = SimulatedProbe(sim.service, declared=sim.declared.service)
        ends = []
        for n, failed in enumerate((0, 1)):
            sim.change(failed=failed)
            ref, statuses = task_of(kind, n), list[str]()
            await in_process.observe([ref])
            for status, at in sim.truth(ref):
                now = at + 1
                (seen,) = await probe.observe([ref])
                (expected,) = await in_process.observe([ref])
                assert isinstance(seen, Observation)
                assert isinstance(expected, Observation)
                assert seen == replace(expected, observed_at=seen.observed_at)
                assert seen.status == status
                assert kind.skipped(statuses[-1] if statuses else None, status) == ()
                statuses.append(status)
            ends.append(statuses[-1])
        assert [kind.phase(end) for end in ends] == [Phase.TERMINAL, Phase.TERMINAL]
        assert not kind.succeeded(ends[1])
        assert kind.succeeded(ends[0]) or "succeeded" not in kind.statuses.values()


@each_kind
async def test_a_missing_task_and_faults_have_the_codes_of_the_service(kind: Kind, probe_of: Connect) -> None:
    """A task that does not exist is not found; throttles, outages and expired credentials are read as such."""
    async with simulator(Scenario(latency=0, known_only=True), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        refs = [task_of(kind, n) for n in range(min(2, kind.batch_size))]
        assert await outcomes(probe, refs) == [NotFound] * len(refs)
        sim.change(known_only=False)
        for fault, error in (("429", Throttled), ("500", Unavailable), ("expired", CredentialsRejected)):
            sim.change(faults={fault: 1})
            with pytest.raises(error) as caught:
                await probe.observe(refs)
            assert caught.value.code in CODES[error]
        sim.change(faults={"garbage": 1})
        for _ in range(6):
            assert await outcomes(probe, refs[:1]) == [Unreadable]


async def outcomes(probe: AwsProbe, refs: Sequence[TaskRef]) -> Sequence[type]:
    """The class of the outcome of each task, also where the call as a whole failed."""
    try:
        return [type(outcome) for outcome in await probe.observe(refs)]
    except RemoteError as error:
        return [type(error)] * len(refs)
