"""Tasks over HTTP: submit, list, show, and cancel, against a running watcher."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest

from tests.api.running import READ, WRITE, api_client, api_of, client_of
from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.api.late_writes import MAX_LATE
from watcher.api.request_body import MAX_BODY
from watcher.api.settings import ApiToken
from watcher.model import Claim, EventType, Report, Scope, Watch
from watcher.runtime.settings import Limits, ServiceSettings

pytestmark = pytest.mark.looptime

JSON = {"Content-Type": "application/json"}


def ref(name: str) -> str:
    return f"abc123/{name}"


async def submitted(client: httpx.AsyncClient, *entries: Any) -> list[dict[str, Any]]:
    reply = await client.post("/v1/tasks", json=list(entries))
    assert reply.status_code == 202, reply.text
    return list(reply.json()["tasks"])


async def until_ended(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    with anyio.fail_after(3600):
        while True:
            shown = (await client.get(f"/v1/tasks/{key(name)}")).json()
            if not shown["task"]["open"]:
                return dict(shown)
            await anyio.sleep(0.5)


async def test_a_submitted_task_is_watched_to_its_end(world: MakeWorld) -> None:
    """A task that is submitted over HTTP is polled, and its page shows all events, in order, and why the watch ended."""
    async with api_client(world(finite=False)) as client:
        assert await submitted(client, ref("t1")) == [{"outcome": "admitted", "key": key("t1")}]
        shown = await until_ended(client, "t1")
    assert [event["sequence"] for event in shown["events"]] == [f"{n:010d}" for n in range(1, len(shown["events"]) + 1)]
    assert shown["events"][-1]["data"]["terminal"]
    assert (shown["end"], shown["next"]) == ("the service reported a terminal status", None)


async def test_each_entry_has_an_outcome_in_its_order(world: MakeWorld) -> None:
    """Of several entries, new, known, and invalid ones each have an outcome; the valid ones are admitted."""
    async with api_client(world(finite=False)) as client:
        await submitted(client, ref("t1"))
        outcomes = await submitted(client, ref("t1"), {"a": 1}, ref("t2"), ref("t2"))
    assert [outcome["outcome"] for outcome in outcomes] == ["known", "invalid", "admitted", "known"]
    assert (outcomes[1]["reason"], outcomes[2]["key"]) == ("field", key("t2"))


async def test_a_task_of_any_kind_and_target_is_submitted_by_its_arn_or_its_key(world: MakeWorld) -> None:
    """The account and Region of an ARN choose the target; a target that is not configured is out of scope, and no token is in the reply."""
    targets = {"eu": Scope("eu-central-1", "111122223333")}
    there = "arn:aws:batch:eu-central-1:111122223333:job/j-1"
    entries = [there, {"arn": there.replace("j-1", "j-2"), "task_token": "AAAA-secret"}, "us/batch-job/j-3", there.replace("eu-", "ap-")]
    async with api_client(world(finite=False, settings=ServiceSettings(region="us-east-1", targets=targets))) as client:
        reply = await client.post("/v1/tasks", json=entries)
        shown = await client.get("/v1/tasks/eu/batch-job/j-2")
    outcomes = reply.json()["tasks"]
    assert [each.get("key", each.get("reason")) for each in outcomes] == ["eu/batch-job/j-1", "eu/batch-job/j-2", "scope", "scope"]
    assert (shown.json()["task"]["target"], shown.json()["task"]["kind"]) == ("eu", "batch-job")
    assert "secret" not in reply.text + shown.text


async def test_events_have_the_trace_of_the_request(world: MakeWorld) -> None:
    """The traceparent header of a submission is in the events of its tasks, except of a task with a context of its own."""
    of_request, own = (f"00-{digit * 32}-{digit * 16}-01" for digit in "ab")
    async with api_client(world(finite=False)) as client:
        body = [ref("t1"), {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "t2", "traceparent": own}]
        await client.post("/v1/tasks", json=body, headers={"traceparent": of_request})
        shown = [await until_ended(client, name) for name in ("t1", "t2")]
    assert [{event["traceparent"] for event in each["events"]} for each in shown] == [{of_request}, {own}]


async def test_a_task_that_has_ended_is_not_watched_again(world: MakeWorld) -> None:
    """A task that is submitted again after its end has the outcome `ended`."""
    async with api_client(world(finite=False)) as client:
        await submitted(client, ref("t1"))
        await until_ended(client, "t1")
        assert await submitted(client, ref("t1")) == [{"outcome": "ended", "key": key("t1")}]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 422),
        (b"", JSON, 422),
        (b"[]", JSON, 422),
        (b'{"a": 1}', JSON, 422),
        (b'"abc123/t1"', {"Content-Type": "text/plain"}, 415),
        (b'"abc123/t1"', {}, 415),
        (b" " * (MAX_BODY + 1), JSON, 413),
    ],
    ids=["half", "empty", "no task", "no identifiers", "text", "no type", "too large"],
)
async def test_a_body_that_names_no_task_is_refused(world: MakeWorld, body: bytes, headers: dict[str, str], status: int) -> None:
    """A body that names no task is refused with a problem document, and does not become a dead letter."""
    async with api_client(world(finite=False)) as client:
        reply = await client.post("/v1/tasks", content=body, headers=headers)
        letters = (await client.get("/v1/dead-letters")).json()
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    assert reply.json()["status"] == status
    assert letters == {"dead_letters": [], "next": None}


async def test_a_large_body_is_read(world: MakeWorld) -> None:
    """A body may be larger than a message of a queue, up to the documented limit."""
    async with api_client(world(finite=False)) as client:
        body = json.dumps([ref("t1")]).encode()
        reply = await client.post("/v1/tasks", content=body.rjust(MAX_BODY), headers=JSON)
    assert (reply.status_code, reply.json()["tasks"][0]["outcome"]) == (202, "admitted")


async def test_a_paused_intake_refuses_tasks(world: MakeWorld) -> None:
    """While intake is paused at a limit, a submission is refused with 503 and the reason, and is accepted later."""
    w = world(finite=False, settings=ServiceSettings(limits=Limits(max_watches=1)))
    async with api_client(w) as client:
        await submitted(client, ref("t1"))
        reply = await client.post("/v1/tasks", json=[ref("t2")])
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
        assert "max_watches" in reply.json()["detail"]
        await until_ended(client, "t1")
        assert (await submitted(client, ref("t2")))[0]["outcome"] == "admitted"


class LateStore(MemoryStore):
    """An admission takes 30 s, and ends also when its caller has given up, as in a file or on a server."""

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        async def late() -> Sequence[Watch]:
            await asyncio.sleep(30)
            return await MemoryStore.admit(self, watches)

        task = asyncio.create_task(late())
        await asyncio.wait([task])
        return task.result()


async def test_a_task_that_is_stored_late_is_watched(world: MakeWorld) -> None:
    """If the store is slow, a submission gets 503; its task is still polled, without a restart."""
    async with api_client(world(finite=False, store=LateStore(MemoryStoreSettings()))) as client:
        reply = await client.post("/v1/tasks", json=[ref("t1")])
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")
        await anyio.sleep(60)
        await until_ended(client, "t1")


class SlowlyClaimedStore(LateStore):
    """A store whose first claim takes some seconds, as after a full disk."""

    async def claim(self, report: Report | None = None) -> Claim:
        await asyncio.sleep(5)
        return await super().claim(report)


async def test_a_task_that_is_submitted_at_the_start_is_watched(world: MakeWorld) -> None:
    """A task whose submission begins before the watcher has claimed its store, and ends after the store was loaded, is polled."""
    w = world(finite=False, store=SlowlyClaimedStore(MemoryStoreSettings()))
    async with w.running() as watcher, client_of(api_of(w, watcher).server.api) as client:
        await client.post("/v1/tasks", json=[ref("t1")])
        await anyio.sleep(120)
        await until_ended(client, "t1")


async def test_a_store_that_does_not_answer_keeps_few_submissions(world: MakeWorld) -> None:
    """While the store does not answer, only a limited number of submissions is kept; further ones are refused immediately."""
    store = LateStore(MemoryStoreSettings())
    async with api_client(world(finite=False, store=store)) as client:
        async with anyio.create_task_group() as tasks:
            for n in range(MAX_LATE):
                tasks.start_soon(partial(client.post, "/v1/tasks", json=[ref(f"t{n}")]))
        began = anyio.current_time()
        assert (await client.post("/v1/tasks", json=[ref("one-more")])).status_code == 503
        assert anyio.current_time() - began < 1
        await anyio.sleep(60)
        assert len((await client.get("/v1/tasks")).json()["tasks"]) == MAX_LATE


async def test_tasks_are_listed_in_pages(world: MakeWorld) -> None:
    """Pages of a limited size, each continued by the `next` of the previous one, have each task once, the newest first."""
    async with api_client(world(finite=False)) as client:
        for n in range(7):
            await submitted(client, ref(f"t{n}"))
            await anyio.sleep(0.01)
        found, after = [], ""
        while after is not None:
            page = (await client.get("/v1/tasks", params={"limit": 3, **({"after": after} if after else {})})).json()
            found += [task["params"]["SpeakerSearchTaskId"] for task in page["tasks"]]
            after = page["next"]
        oldest = (await client.get("/v1/tasks", params={"order": "oldest", "limit": 1})).json()["tasks"][0]["key"]
    assert found == [f"t{n}" for n in reversed(range(7))]
    assert oldest == key("t0")


async def test_tasks_are_found_by_a_part_of_their_key(world: MakeWorld) -> None:
    """`search` finds tasks by a part of the key, and `open`, `kind`, and `status` narrow the list."""
    async with api_client(world(finite=False)) as client:
        await submitted(client, ref("find-me-1"), ref("other-2"))
        await until_ended(client, "other-2")
        found = (await client.get("/v1/tasks", params={"search": "find-me"})).json()["tasks"]
        ended = (await client.get("/v1/tasks", params={"open": "false", "kind": "speaker-search"})).json()["tasks"]
        none = (await client.get("/v1/tasks", params={"status": "NO_SUCH_STATUS"})).json()["tasks"]
    assert [task["key"] for task in found] == [key("find-me-1")]
    assert key("other-2") in [task["key"] for task in ended]
    assert none == []


@pytest.mark.parametrize(
    "params", [{"limit": "0"}, {"limit": "x"}, {"open": "maybe"}, {"after": "zz"}, {"order": "sideways"}, {"search": "\0"}], ids=str
)
async def test_an_invalid_parameter_is_named(world: MakeWorld, params: dict[str, str]) -> None:
    """A parameter that is invalid is answered with 400 and a problem document that names it."""
    async with api_client(world(finite=False)) as client:
        reply = await client.get("/v1/tasks", params=params)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")
    assert next(iter(params)) in reply.json()["detail"] or "NUL" in reply.json()["detail"]


async def test_a_cancelled_task_ends_with_an_event(world: MakeWorld) -> None:
    """DELETE ends the watch of a task within seconds: its last event says `cancelled`, and no call follows."""
    w = world(finite=False)
    async with api_client(w) as client:
        await submitted(client, ref("stuck-1"))
        await anyio.sleep(5)
        reply = await client.delete(f"/v1/tasks/{key('stuck-1')}")
        assert (reply.status_code, reply.json()) == (202, {"key": key("stuck-1"), "outcome": "cancelling"})
        shown = await until_ended(client, "stuck-1")
        again = await client.delete(f"/v1/tasks/{key('stuck-1')}")
        polls = shown["task"]["polls"]
        await anyio.sleep(600)
        assert (await client.get(f"/v1/tasks/{key('stuck-1')}")).json()["task"]["polls"] == polls
    assert (shown["events"][-1]["type"], shown["events"][-1]["data"]["reason"]) == (EventType.ENDED, "cancelled")
    assert (again.status_code, again.json()["outcome"]) == (200, "ended")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", [key("unknown"), "nothing", quote("ä/\0/b"), "%2e%2e/%2e%2e", "a" * 3000])
async def test_an_unknown_task_is_not_found(world: MakeWorld, method: str, path: str) -> None:
    """A key that the store does not have is answered with 404, whatever it contains."""
    async with api_client(world(finite=False)) as client:
        reply = await client.request(method, f"/v1/tasks/{path}")
    assert (reply.status_code, reply.headers["content-type"]) == (404, "application/problem+json")


async def test_roles_limit_what_a_token_may_do(world: MakeWorld) -> None:
    """A token with the role read lists tasks and submits none; one with the role write does both; health needs none."""
    tokens = [
        ApiToken.model_validate({"name": "r", "token": READ}),
        ApiToken.model_validate({"name": "w", "role": "write", "token": WRITE}),
    ]
    async with api_client(world(finite=False), tokens) as client:

        async def statuses(token: str | None) -> list[int]:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            replies = [
                await client.get("/healthz"),
                await client.get("/v1/tasks", headers=headers),
                await client.get("/v1/events", headers=headers),
                await client.post("/v1/tasks", json=[ref("t1")], headers=headers),
                await client.delete(f"/v1/tasks/{key('t1')}", headers=headers),
                await client.post("/v1/dead-letters/purge", json={"all": True}, headers=headers),
            ]
            return [reply.status_code for reply in replies]

        assert await statuses(None) == [200, 401, 401, 401, 401, 401]
        assert await statuses(READ) == [200, 200, 200, 403, 403, 403]
        assert await statuses(WRITE) == [200, 200, 200, 202, 202, 200]


async def test_no_reply_may_be_read_by_a_page_of_another_site(world: MakeWorld) -> None:
    """There is no CORS: no reply, and no preflight, allows another origin."""
    async with api_client(world(finite=False)) as client:
        origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        replies = [await client.get("/v1/tasks", headers=origin), await client.options("/v1/tasks", headers=origin)]
    assert [name for reply in replies for name in reply.headers if name.startswith("access-control")] == []
    assert json.loads(replies[1].text)["status"] == 405
