"""Each failure, and its end, is visible on the page, in /readyz, in the metric, and in the alert that fires."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from playwright.async_api import Page, Route, expect

from tests.api.page.scene import opened, scene, url
from tests.chromium import browser
from tests.e2e.alert_timeline import Scrape, Timeline
from tests.e2e.fleet import SHARDS, Fleet, Replica, Webhook, endless, fleet, one_in_each_shard
from tests.e2e.queues import Queue
from tests.e2e.scene import check_events, end_tasks, get, message, ready, tasks
from tests.postgres import Database
from tests.process import POLL_S
from watcher.core.polling import pace
from watcher.simulator import Simulator, simulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

WELL = "All is well."


@dataclass(frozen=True)
class Trouble:
    """The signs of one failure."""

    component: str
    sentence: str
    """The beginning of the first sentence of the page."""
    reason: str
    hint: str
    """A part of each: the cause, and what to do."""
    alerts: Collection[str]
    """The alert that fires when the failure lasts."""
    begin: Callable[[], Awaitable[Any]]
    end: Callable[[], Awaitable[Any]]
    may: Collection[str] = ()
    """What may fire, too: whether it does depends on how many calls were made between two scrapes."""
    grows: str = ""
    """A series that grows while it lasts, as on /metrics."""
    aging: str = ""
    """A gauge that grows by a second each second while it lasts."""


async def scraped(*watchers: str) -> Scrape:
    """What the watchers at these addresses show now."""
    return Scrape(time.monotonic(), {address: (await get(f"{address}/metrics")).text for address in watchers})


def value(found: Scrape, name: str) -> float:
    """The sum of the series whose names with labels, as on /metrics, begin like this."""
    lines = [line for text in found.pages.values() for line in text.splitlines()]
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def twice(*watchers: str, grows: str = "") -> tuple[Scrape, Scrape]:
    """Two scrapes, the second one after this series has grown."""
    first = last = await scraped(*watchers)
    while last.at == first.at or (grows and value(last, grows) <= value(first, grows)):
        await anyio.sleep(POLL_S)
        last = await scraped(*watchers)
    return first, last


def troubles(sim: Simulator, hook: Webhook, queue: Queue) -> list[Trouble]:
    """Everything that can break around one watcher."""

    async def change(**scenario: Any) -> None:
        sim.change(**scenario)

    async def answer(status: int) -> None:
        hook.status = lambda event: status
        await queue.send([message(ref) for ref in tasks(2, f"answered-{status}")])

    return [
        Trouble(
            "circuit:credentials",
            "The credentials have not been accepted since",
            "ExpiredTokenException",
            "sign in again, or renew the token",
            {"WatcherCircuitOpen"},
            lambda: change(faults={"expired": 1.0}),
            lambda: change(faults={}),
            {"WatcherPollsFailing"},
        ),
        Trouble(
            "sink:crm",
            "Sink crm has not worked since",
            "unavailable: 500",
            "it can be reached, but answers with an error: check its log",
            {"WatcherSinkUnhealthy", "WatcherOutboxOld"},
            lambda: answer(500),
            lambda: answer(204),
            aging="watcher_outbox_age_seconds",
        ),
        Trouble(
            "quota:speaker-search",
            "All calls under the quota speaker-search have been throttled since",
            "every call for a minute or longer was throttled",
            "raise the quota",
            {"WatcherQuotaZero", "WatcherThrottled"},
            lambda: change(quota=0.0, burst=0.0),
            lambda: change(quota=None, burst=None),
            grows='watcher_polls_total{kind="speaker-search",outcome="throttled",target="default"}',
        ),
        Trouble(
            "source:tasks",
            "Source tasks has not worked since",
            "not_found",
            "check its name, its account, and AWS_REGION",
            {"WatcherSourceUnhealthy"},
            queue.delete,
            queue.create,
        ),
    ]


async def test_what_breaks_around_a_watcher_is_seen_everywhere(moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials, a sink, a quota, and a queue break in turn: page, /readyz, metric, and alert name each, until it works again."""
    monkeypatch.setattr(pace, "REFUSED_S", 1.0)
    queue, hook, timeline, refs = Queue(moto_url), Webhook(), Timeline(), tasks(3)
    await queue.create()
    async with simulator(endless(quota=None)) as sim, hook.serving():
        sections = {
            "sources": [{"type": "sqs", "name": "tasks", "queue_url": queue.url, "wait": 1}],
            "sinks": [{"type": "webhook", "name": "crm", "url": f"{hook.url}0"}],
            "pace": {"rate": 20, "burst": 5},
        }
        async with scene(tmp_path, sim, **sections) as watched:
            monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
            async with watched.running() as app, browser() as chromium, opened(chromium, url(app)) as page:
                await queue.send(map(message, refs))
                await is_well(page, url(app), timeline)
                for trouble in troubles(sim, hook, queue):
                    await trouble.begin()
                    await is_seen(trouble, page, url(app), timeline)
                    await trouble.end()
                    await is_well(page, url(app), timeline)
                refs += [*tasks(2, "answered-500"), *tasks(2, "answered-204")]
                await until(lambda: all(map(sim.tasks.get, refs)))
                await late_calls_are_named(page)
                end_tasks(sim, refs)
                await until(lambda: len(hook.ended) == len(refs))
                check_events(hook.accepted, refs, sim)
    timeline.check(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    while not condition():  # noqa: ASYNC110 - nothing sets an event
        await anyio.sleep(POLL_S)


async def late_calls_are_named(page: Page) -> None:
    """Calls that are more than a minute late, although nothing is broken, are on the page, with the quota to raise."""

    async def answer(route: Route) -> None:
        overview = await (await route.fetch()).json()
        overview["calls"][0].update(lateness_s=95, answered=3, throttled=1, failed=0)
        await route.fulfill(json=overview)

    await page.route("**/v1/overview*", answer)
    condition = page.get_by_role("region", name="Condition")
    await expect(condition.get_by_role("heading")).to_have_text("Calls under the quota speaker-search are late.")
    await expect(condition).to_contain_text("a task has waited 1 min 35 s; 25 % of the calls are throttled")
    await expect(condition).to_contain_text('raise the quota "Speaker search API rate')
    await page.unroute("**/v1/overview*")


async def is_seen(trouble: Trouble, page: Page, address: str, timeline: Timeline) -> None:
    """The trouble is on the page, in /readyz, and in the metric that the alert uses; no other component is named."""
    condition = page.get_by_role("region", name="Condition")
    await expect(condition.get_by_role("heading")).to_contain_text(trouble.sentence)
    for text in (trouble.reason, "What to do: ", trouble.hint):
        await expect(condition).to_contain_text(text)
    await expect(page).to_have_title("(1) Watcher")
    is_ready, components = await ready(address)
    assert not is_ready
    [(name, found)] = [(name, each) for name, each in components.items() if not each["ok"]]
    assert name == trouble.component
    assert trouble.reason in found["reason"]
    assert trouble.hint in found["hint"]
    first, last = await twice(address, grows=trouble.grows or trouble.aging)
    assert value(last, f'watcher_component_healthy{{component="{trouble.component}"}}') == 0
    timeline.add(first, last, 40, trouble.alerts, may=trouble.may, aging=trouble.aging)


async def is_well(page: Page, address: str, timeline: Timeline) -> None:
    """Nothing is wrong: page and /readyz say so, and no alert fires."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    assert (await ready(address))[0]
    timeline.add(*await twice(address), 60, ())


@asynccontextmanager
async def late(shared: Fleet, *replicas: Replica) -> AsyncIterator[None]:
    """Delay the takeover of replicas that have ended: while their rows are locked, no other replica removes them."""
    with shared.database.connection() as db, db.transaction():
        db.execute("SELECT FROM replicas WHERE name = ANY(%s) FOR UPDATE", [[replica.name for replica in replicas]])
        yield


async def test_replicas_that_end_or_hang_are_seen_everywhere(database: Database, moto_url: str, tmp_path: Path) -> None:
    """If one of three replicas is killed and one is frozen, the page, metrics, and alerts of the third show it, until all three work."""
    refs, timeline = one_in_each_shard(), Timeline()
    async with fleet(tmp_path, database, moto_url, endless(), count=3) as shared, browser() as chromium:
        stays, killed, frozen = shared.replicas
        await shared.polling(refs)
        async with opened(chromium, stays.url) as page:
            await are_well(page, shared, timeline)
            async with late(shared, killed, frozen):
                shared.kill(killed)
                frozen.send(signal.SIGSTOP)
                missing = await are_missed(page, stays, timeline)
                with pytest.raises(httpx.ConnectError):
                    await ready(killed.url)
            await are_replaced(page, shared, stays, missing, timeline)
            shared.start(killed)
            frozen.send(signal.SIGCONT)
            await are_well(page, shared, timeline)
        await shared.finish(refs)
    timeline.check(tmp_path)


async def are_well(page: Page, shared: Fleet, timeline: Timeline) -> None:
    """All replicas share the shards and are ready, and no alert fires."""

    async def ready_each() -> bool:
        return all([(await ready(replica.url))[0] for replica in shared.replicas])

    await shared.until_shared(*shared.replicas)
    await shared.until_async(ready_each, "all replicas are ready")
    await expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    timeline.add(*await twice(*(replica.url for replica in shared.replicas)), 70, ())


async def are_missed(page: Page, stays: Replica, timeline: Timeline) -> int:
    """The page of the replica that stays names the shards without an owner. It is ready itself. Returns how many shards these are."""
    first, last = await twice(stays.url)
    missing = round(value(last, "watcher_shards ") - value(last, "watcher_shards_owned"))
    assert 0 < missing < SHARDS
    timeline.add(first, last, 5, {"WatcherShardsUnowned"})
    condition = page.get_by_role("region", name="Condition")
    await expect(condition.get_by_role("heading")).to_have_text("The replicas need attention.")
    await expect(condition).to_contain_text(f"{missing} of {SHARDS} shards have no owner")
    await expect(condition).to_contain_text("a replica takes them within seconds, else its log says why not")
    assert (await ready(stays.url))[0], "a replica that works stays ready"
    return missing


async def are_replaced(page: Page, shared: Fleet, stays: Replica, missing: int, timeline: Timeline) -> None:
    """The replica that stays has taken the shards, and only the alerts about the expired replicas fire."""
    await shared.until_shared(stays)
    await expect(page.get_by_role("heading", level=1)).to_have_text(WELL)
    first, last = await twice(stays.url)
    assert value(last, "watcher_takeovers_total") == missing
    timeline.add(first, last, 5, {"WatcherReplicaExpired"})
