"""CPU time of a poll, over a real socket to a service in another process: the whole engine compared with simpler loops."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aioboto3
import anyio
import boto3
import structlog

from tests.benchmarks.service import service
from tests.benchmarks.table import Table, command
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.schedule import state_name
from watcher.errors import RemoteError
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef, Watch
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Limits, ServiceSettings

IN_FLIGHT = 25
TASKS = 5000
"""Each task is due again after a quarter of a second. That makes 20,000 due polls a second, more than any client can make."""
Call = Callable[[str], Awaitable[object]]


@dataclass(frozen=True)
class Rival:
    """One client or loop to compare. `measure(n)` makes about n polls and returns CPU seconds for each, threads included."""

    name: str
    measure: Callable[[int], Awaitable[float]]
    uvloop: bool = False
    share: float = 1.0
    """Fraction of the polls of a round, for clients so slow that fewer polls have to be enough."""


def run(quick: bool) -> Table:
    """Measure all rivals in several rounds, in a new order each. The results are medians of the ratios within a round."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rounds, polls = (3, 300) if quick else (7, 1500)
    order = list(RIVALS)
    found: list[dict[str, float]] = []
    with service():
        for turn in range(rounds):
            random.Random(turn).shuffle(order)
            found.append({rival.name: _alone(rival, polls) for rival in order})
    return Table("What a poll costs", command("poll"), _note(found), HEADER, [_row(rival.name, found) for rival in RIVALS])


def _alone(rival: Rival, polls: int) -> float:
    options = {"use_uvloop": rival.uvloop}
    return anyio.run(rival.measure, max(20, round(polls * rival.share)), backend_options=options)


async def _gather(call: Call, polls: int) -> float:
    """The simplest loop: one coroutine for each call in flight, which takes one task after the other."""

    async def work(names: Iterator[str]) -> None:
        for name in names:
            await call(name)

    async def burst(count: int) -> None:
        names = itertools.islice(_names(), count)
        await asyncio.gather(*(work(names) for _ in range(IN_FLIGHT)))

    await burst(max(2 * IN_FLIGHT, polls // 10))
    began = time.process_time()
    await burst(polls)
    return (time.process_time() - began) / polls


def _names() -> Iterator[str]:
    return itertools.cycle([f"task-{n}" for n in range(TASKS)])


def _params(name: str) -> dict[str, str]:
    return {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": name}


async def _default(polls: int) -> float:
    async with aioboto3.Session().client("chime-sdk-voice") as client:
        return await _gather(lambda name: client.get_speaker_search_task(**_params(name)), polls)


async def _client_per_call(polls: int) -> float:
    session = aioboto3.Session()

    async def call(name: str) -> None:
        async with session.client("chime-sdk-voice") as client:
            await client.get_speaker_search_task(**_params(name))

    return await _gather(call, polls)


async def _threads(polls: int) -> float:
    client = boto3.client("chime-sdk-voice")
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(lambda name: client.get_speaker_search_task(**_params(name)), itertools.islice(_names(), 2 * IN_FLIGHT)))
        began = time.process_time()
        list(pool.map(lambda name: client.get_speaker_search_task(**_params(name)), itertools.islice(_names(), polls)))
        return (time.process_time() - began) / polls


async def _bare(polls: int) -> float:
    aws = AwsClients(max_connections=IN_FLIGHT)
    client = await aws.client("chime-sdk-voice")
    try:
        return await _gather(lambda name: client.get_speaker_search_task(**_params(name)), polls)
    finally:
        await aws.close()


class _Counted(AwsProbe):
    """The probe, which counts its calls."""

    calls = 0

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        self.calls += 1
        return await super().observe(refs)


async def _engine(polls: int) -> float:
    """Run the whole watcher with more tasks than it can poll, so that it polls without a pause."""
    aws = AwsClients(max_connections=IN_FLIGHT)
    catalog = builtin_catalog()
    probe = _Counted(aws, catalog, call_deadline=15, clock=time.time)
    store = MemoryStore(MemoryStoreSettings())
    now = time.time()
    names = itertools.islice(_names(), TASKS)
    await store.admit([Watch(TaskRef("speaker-search", ("vc1", name)), f"{n:032x}", now, now + 86_400) for n, name in enumerate(names)])
    await store.save_state(state_name("pace", catalog["speaker-search"].quota), "100000")
    settings = ServiceSettings(
        pace=PaceSettings(rate=100_000, burst=1000),
        cadence=CadenceSettings(min_gap=0.05, price_floor=0),
        limits=Limits(max_in_flight=IN_FLIGHT),
        catalog=catalog,
    )
    async with assemble(Adapters([], probe, store, []), settings) as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await _polled(probe, TASKS + polls // 10)
        began, before = time.process_time(), probe.calls
        await _polled(probe, before + polls)
        took, count = time.process_time() - began, probe.calls - before
        watcher.stop()
    await aws.close()
    return took / count


async def _polled(probe: _Counted, count: int) -> None:
    while probe.calls < count:  # noqa: ASYNC110 - an event set by the probe would add to the measured time
        await anyio.sleep(0.02)


DEFAULT = "default aioboto3 client"
BARE = "bare loop, tuned SDK client"
ENGINE = "**engine**, tuned SDK client"

RIVALS = (
    Rival("a client made for each call", _client_per_call, share=0.03),
    Rival("boto3 in 25 threads", _threads, share=0.5),
    Rival(DEFAULT, _default),
    Rival(BARE, _bare),
    Rival(ENGINE, _engine),
    Rival(ENGINE + ", uvloop", _engine, uvloop=True),
)
HEADER = ("25 calls in flight", "µs a poll", "times default", "polls/s of one core")


def _row(name: str, found: list[dict[str, float]]) -> tuple[str, ...]:
    cost = statistics.median(one[name] for one in found)
    return name, f"{cost * 1e6:,.0f}", f"{_ratio(found, DEFAULT, name):.2f}", f"{1 / cost:,.0f}"


def _ratio(found: list[dict[str, float]], this: str, to: str) -> float:
    return statistics.median(one[this] / one[to] for one in found)


def _note(found: list[dict[str, float]]) -> str:
    added = statistics.median(one[ENGINE] - one[BARE] for one in found) * 1e6
    return f"""
CPU time (user and system, all threads) of the polling process for one `GetSpeakerSearchTask`, over a socket to the simulated service in
another process, which verifies every signature. All in one run, in turn; the medians of {len(found)} rounds.

The *tuned* client is the SDK with public configuration: a pool as wide as the calls in flight, one attempt, a faster timestamp parser,
a fixed user agent. The *engine* is the whole watcher on that client: pending set, cadence, pace, circuits, metrics, validation, decisions.

The engine polls at {_ratio(found, BARE, ENGINE):.2f} times the rate of the bare loop on the same client. The bare loop has no deadline,
validates no reply, decides nothing and stores nothing. The engine adds {added:.0f} µs a poll: the deadline of the call, the strict reading
of the reply, the cadence, the place in the pending set, pace, circuits, the decision and metrics. While more tasks are due, the asyncio
task that made a call goes on with the next one.

Signing and sending polls outside the SDK's client was tried and removed: with botocore's own signer the engine was 1.2 times as fast as
on the tuned client, too little for code that relies on private parts of the SDK.
"""
