"""Events as pages and as long polls, on virtual time, and dead letters and replicas over HTTP."""

from __future__ import annotations

import anyio
import httpx
import pytest

from tests.api.running import api_client
from tests.api.test_tasks_over_http import ref, submitted, until_ended
from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.ports import Delivered, Rejected
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime


async def page(client: httpx.AsyncClient, after: str, **params: str | int) -> tuple[list[str], str]:
    """The ids of the events of a page, and the cursor after them."""
    reply = await client.get("/v1/events", params={"after": after, **params})
    assert reply.status_code == 200, reply.text
    return [event["id"] for event in reply.json()["events"]], reply.json()["next"]


async def test_pages_have_each_event_once(world: MakeWorld) -> None:
    """Pages of any size, each continued with `next` of the previous one, have all events without repeats."""
    async with api_client(world(finite=False)) as client:
        await submitted(client, *(ref(f"t{n}") for n in range(8)))
        for n in range(8):
            await until_ended(client, f"t{n}")
        everything, end = await page(client, "start", limit=1000)
        found: list[str] = []
        after = "start"
        for _ in range(len(everything) // 3 + 1):
            ids, after = await page(client, after, limit=3)
            found += ids
        assert found == everything
        assert len(set(found)) == len(found) > 8
        assert (await page(client, end))[0] == []


async def test_a_long_poll_waits_for_the_next_event(world: MakeWorld) -> None:
    """With `wait`, the watcher replies at the next event, or with an empty page after that time."""
    async with api_client(world(finite=False)) as client:
        _, end = await page(client, "now")
        began = anyio.current_time()
        assert (await page(client, end, wait=20))[0] == []
        assert anyio.current_time() - began >= 20
        async with anyio.create_task_group() as tasks:
            got: list[str] = []

            async def wait_for_one() -> None:
                got.extend((await page(client, end, wait=60))[0])

            tasks.start_soon(wait_for_one)
            await anyio.sleep(5)
            assert got == []
            await submitted(client, ref("t1"))
        assert len(got) == 1


async def test_a_long_poll_waits_for_an_event_that_passes_its_filter(world: MakeWorld) -> None:
    """With `wait` and a filter, other events do not end the wait."""
    async with api_client(world(finite=False)) as client:
        _, end = await page(client, "now")
        await submitted(client, ref("t1"))
        ids, _ = await page(client, end, wait=60, task=key("t1"), terminal="true")
        events = (await client.get(f"/v1/tasks/{key('t1')}")).json()["events"]
    assert ids == [events[-1]["id"]]


@pytest.mark.parametrize(("after", "status"), [("zz", 400), ("", 400), ("A" * 30, 400), ("x" * 20_001, 400)])
async def test_a_text_that_is_not_a_cursor_is_refused(world: MakeWorld, after: str, status: int) -> None:
    """A text that is not a cursor gets 400, as a parameter and as Last-Event-ID."""
    async with api_client(world(finite=False)) as client:
        reply = await client.get("/v1/events", params={"after": after})
        assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
        if after:
            assert (await client.get("/v1/events", headers={"Last-Event-ID": after})).status_code == status


async def test_a_cursor_of_another_store_is_gone(world: MakeWorld) -> None:
    """A cursor of another store gets 410, with what to do."""
    async with api_client(world(finite=False)) as client:
        _, before = await page(client, "now")
    async with api_client(world(finite=False, store=MemoryStore(MemoryStoreSettings()))) as client:
        reply = await client.get("/v1/events", params={"after": before})
    assert reply.status_code == 410
    assert "after=start" in reply.json()["detail"]


class RefusingInbox(SimulatedInbox):
    """Refuses the events of tasks whose name begins with `bad-`."""

    async def send(self, events):  # type: ignore[no-untyped-def]
        return [Rejected("too large", "event") if "/bad-" in event.key else Delivered() for event in events]


async def with_dead_letter(client: httpx.AsyncClient) -> str:
    """Let the sink refuse the first event of a task. Returns the id of the dead letter."""
    await submitted(client, ref("bad-1"), ref("good-1"))
    await until_ended(client, "good-1")
    await anyio.sleep(60)
    return str((await client.get("/v1/dead-letters")).json()["dead_letters"][0]["id"])


async def test_a_dead_letter_is_shown_and_erased(world: MakeWorld) -> None:
    """A refused event is listed without its body and shown with it, by a part of its id, and DELETE erases it."""
    w = world(finite=False, sinks=[RefusingInbox()])
    async with api_client(w) as client:
        id_ = await with_dead_letter(client)
        listed = (await client.get("/v1/dead-letters", params={"task": key("bad-1"), "limit": 1})).json()["dead_letters"]
        shown = (await client.get(f"/v1/dead-letters/{id_[:12]}")).json()
        erased = await client.delete(f"/v1/dead-letters/{id_}")
        gone = await client.get(f"/v1/dead-letters/{id_}")
    assert (listed[0]["key"], "body" in listed[0]) == (key("bad-1"), False)
    assert '"specversion"' in shown["body"]
    assert (erased.status_code, gone.status_code) == (204, 404)


async def test_dead_letters_are_marked_for_a_retry(world: MakeWorld) -> None:
    """A retry marks one, several, or all dead letters; one that does not exist is answered with 404, and nothing is marked."""
    w = world(finite=False, sinks=[RefusingInbox()])
    async with api_client(w) as client:
        id_ = await with_dead_letter(client)
        one = await client.post(f"/v1/dead-letters/{id_}/retry")
        several = await client.post("/v1/dead-letters/retry", json={"ids": [id_]})
        unknown = await client.post("/v1/dead-letters/retry", json={"ids": [id_, "unknown"]})
        every = await client.post("/v1/dead-letters/retry", json={"all": True})
    assert [reply.status_code for reply in (one, several, unknown, every)] == [202, 202, 404, 202]
    assert (one.json(), several.json()) == ({"marked": 1}, {"marked": 1})


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": ["a"], "all": True}, {"all": False}, {"ids": "a"}, {"every": True}, []], ids=str)
async def test_a_purge_needs_a_choice(world: MakeWorld, body: object) -> None:
    """A purge without ids and without `all` is refused: nothing is erased by mistake."""
    async with api_client(world(finite=False)) as client:
        assert (await client.post("/v1/dead-letters/purge", json=body)).status_code == 400


async def test_a_store_with_a_single_owner_lists_no_replicas(world: MakeWorld) -> None:
    """/v1/replicas of a store that is not shared lists no replicas and no problems."""
    async with api_client(world(finite=False)) as client:
        reply = (await client.get("/v1/replicas")).json()
    assert (reply["replicas"], reply["unowned"], reply["trouble"]) == ([], 0, [])
