"""The plans of the statements at a million rows: each uses its index, and touches as many blocks as it has rows to do with."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from tests.adapters.stores.postgres.plans import Plans, plans  # noqa: F401  the fixture
from tests.contracts.store_exam.facts import a_dead_letter, a_watch, leases, moved
from tests.postgres import Database, PostgresServer
from watcher.adapters.stores.postgres import PostgresStore
from watcher.model import Event, Watch
from watcher.query import DeadLetterQuery, EventQuery, Selection, TaskQuery

# the table of a million rows takes a minute to fill, in each process of the tests
pytestmark = [pytest.mark.process, pytest.mark.long]

ROWS = 1_000_000
GROUP = 100
"""Calls or rows in one operation."""

# Four of five watches have ended. Each has an event. The sink `bus` has settled all but the last tenth; `log` has settled none.
FILL = (
    f"""INSERT INTO watches (n, shard, key, id, target, kind, params, admitted_at, deadline_at, status, sequence, polls,
            ended_at, end_reason)
        SELECT n, n % 64, 'speaker-search/vc' || n % 1000 || '/t' || n, md5(n::text), 'default', 'speaker-search',
            ARRAY['vc' || n % 1000, 't' || n], n, n + 1000, 'IN_PROGRESS', 1, 3,
            CASE WHEN n % 5 > 0 THEN n END, CASE WHEN n % 5 > 0 THEN 'terminal' END
        FROM generate_series(1, {ROWS}) n""",
    f"SELECT setval('watch_numbers', {ROWS})",
    """INSERT INTO events (shard, watch, id, type, "to", terminal, at, body)
        SELECT shard, n, id || '-1', 'watcher.task.transition.v1', 'IN_PROGRESS', false, n, decode(repeat(md5(n::text), 6), 'hex')
        FROM watches""",
    f"""INSERT INTO dead_letters (n, id, what, origin, reason, detail, body, at, shard, position, tries,
            key, kind, params)
        SELECT n, 'd' || n, CASE WHEN n % 2 = 0 THEN 'event' ELSE 'input' END, 'bus', 'rejected', 'why', 'body', n, n % 64, n, 1,
            'speaker-search/vc' || n % 1000 || '/t' || n, 'speaker-search', ARRAY['vc' || n % 1000, 't' || n]
        FROM generate_series(1, {ROWS // 10}) n""",
    f"SELECT setval('dead_letter_numbers', {ROWS})",
    # Most tokens are answered. Of the others, those of watches that have ended are late.
    """INSERT INTO task_tokens (shard, watch, digest, token, late)
        SELECT shard, n, sha256(key::bytea), CASE WHEN n % 5 = 0 OR n % 1000 = 1 THEN repeat(md5(n::text), 10) END, n % 5 > 0
        FROM watches WHERE n % 5 < 2""",
    f"UPDATE cursors SET position = {ROWS * 9 // 10} WHERE sink = 'bus'",
    "UPDATE cursors SET position = 0 WHERE sink = 'log'",
)
"""No row of them is analyzed: the plans must not depend on when autovacuum comes by."""


@pytest.fixture(scope="module")
def full(postgres_server: PostgresServer) -> Iterator[Database]:
    """A store with a million watches."""
    found = Database(postgres_server, f"plans_{secrets.token_hex(4)}")
    yield found
    postgres_server.execute(f"DROP SCHEMA IF EXISTS {found.schema} CASCADE")


@pytest.fixture
async def store(full: Database, plans: Plans) -> AsyncIterator[PostgresStore]:  # noqa: F811
    settings = full.settings(shards=64, statement_timeout=300)
    store = PostgresStore(settings)
    await store.open(["bus", "log"])
    if not full.execute("SELECT 1 FROM watches LIMIT 1"):
        with full.connection() as db:
            for statement in FILL:
                db.execute(statement)
    await store.claim()
    plans.clear()
    yield store
    await store.close()


async def admitted(store: PostgresStore, plans: Plans) -> list[Watch]:  # noqa: F811
    watches = list(await store.admit([a_watch(f"{secrets.token_hex(8)}") for _ in range(GROUP)]))
    plans_of_admission = list(plans.found)
    plans.clear()
    plans.found += plans_of_admission
    return watches


async def test_admission(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """A group of admissions touches some blocks for each of its rows and of the indexes of the table."""
    await admitted(store, plans)
    assert plans.whole_tables <= {"shards", "new"}
    assert plans.blocks < 60 * GROUP


async def test_taking_a_group(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """A group of commits finds its watches by their keys and writes them by their numbers."""
    watches = await admitted(store, plans)
    owned = await leases(store)
    plans.clear()
    assert not await store.commit([moved(watch) for watch in watches], owned)
    assert {"watches_key_key", "watches_pkey"} <= plans.indexes
    assert not plans.whole_tables & {"watches", "events"}
    assert plans.blocks < 60 * GROUP


async def test_adoption(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """Each piece of a shard is read in order from the index of the open watches, and touches few blocks beside its rows."""
    owned = await leases(store)
    plans.clear()
    loaded = [len(watches) async for watches in store.load(owned[0])]
    assert sum(loaded) >= ROWS // 5 // 64
    assert "watches_open" in plans.indexes
    assert not plans.whole_tables
    assert max(plan.blocks for plan in plans.found) < 1.3 * 1000
    assert plans.blocks < 1.3 * sum(loaded) + 100


async def test_arrivals(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """Reading what was admitted since touches some blocks for each shard and each new watch, and none for the others."""
    owned = await leases(store)
    for lease in owned.values():
        async for _ in store.load(lease):
            break
    await admitted(store, plans)
    plans.clear()
    found = [watch async for watches in store.arrivals(list(owned.values())) for watch in watches]
    assert len(found) == GROUP
    assert "watches_open" in plans.indexes
    assert not plans.whole_tables
    assert plans.blocks < 10 * (GROUP + len(owned))


@pytest.mark.parametrize(("sink", "after"), [("bus", 0), ("log", 0), ("log", ROWS // 2)])
async def test_the_outbox(store: PostgresStore, plans: Plans, sink: str, after: int) -> None:  # noqa: F811
    """A piece of the outbox starts at its place in the index, however many events are before and after it."""
    events = await store.read_outbox(sink, 1, after, GROUP)
    assert len(events) == GROUP
    assert {"cursors_pkey", "events_pkey", "watches_pkey"} <= plans.indexes
    assert not plans.whole_tables
    assert plans.blocks < 20 * GROUP


async def outbox(store: PostgresStore, sink: str, shards: Sequence[int]) -> list[Event]:
    return [event for shard in shards for event in await store.read_outbox(sink, shard, 0, GROUP // len(shards))]


@pytest.mark.parametrize("order", ["in order", "out of order"])
async def test_settling(store: PostgresStore, plans: Plans, order: str) -> None:  # noqa: F811
    """Settling the next events of some shards, or events beyond them, touches some blocks for each event."""
    events = await outbox(store, "log", range(10))
    owned = await leases(store)
    plans.clear()
    await store.settle("log", events if order == "in order" else [event for n, event in enumerate(events) if n % 10], [], owned)
    assert {"cursors_pkey", "events_pkey"} <= plans.indexes
    assert not plans.whole_tables & {"events", "cursors", "settled"}
    assert plans.blocks < 40 * GROUP


async def test_settling_many_at_once(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """Each event is looked up in a hash table of those that are settled, and with one search among those settled before."""
    events = await store.read_outbox("log", 20, 0, 10 * GROUP)
    owned = await leases(store)
    await store.settle("log", events[1:], [], owned)
    plans.clear()
    await store.settle("log", events[:1], [], owned)
    filters = [str(node.get("Filter", "")) for plan in plans.found for node in plan.nodes]
    assert any("hashed" in each for each in filters)
    assert plans.blocks < 20 * len(events)


async def test_rejected_events(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """Dead letters are added by key and by id, whatever else is there."""
    events = await outbox(store, "log", [11])
    owned = await leases(store)
    plans.clear()
    await store.settle("log", [], [a_dead_letter(f"new-{event.id}", event=event) for event in events], owned)
    assert {"watches_key_key", "dead_letters_id_key", "events_pkey"} <= plans.indexes
    assert not plans.whole_tables & {"events", "watches", "dead_letters"}
    assert plans.blocks < 80 * GROUP


async def test_pages_of_tokens(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """A page of heartbeats, and a look for late tokens, touch some blocks for each token and shard, however many tokens there are."""
    first = await store.open_tokens(range(64), None, GROUP)
    second = await store.open_tokens(range(64), first.next, GROUP)
    assert len(first.items) == len(second.items) == GROUP
    assert len(await store.late_tokens(range(64), GROUP)) == GROUP
    assert "task_tokens_waiting" in plans.indexes
    assert not plans.whole_tables
    assert max(plan.blocks for plan in plans.found) < 3 * 64 * GROUP


async def test_pruning(store: PostgresStore, plans: Plans) -> None:  # noqa: F811
    """Each piece looks at some ended watches in order of time, also where a sink has settled none of their events."""
    await store.prune(ROWS / 100)
    looked = [plan for plan in plans.found if "watches_ended" in plan.indexes]
    assert len(looked) > 10
    assert all("settled_pkey" in plan.indexes for plan in looked[:-1])
    assert all("events_id" in plan.indexes for plan in looked[:-1])
    assert max(plan.blocks for plan in looked) < 30 * 500
    assert not plans.whole_tables & {"events", "watches", "dead_letters", "settled"}


QUERIES: dict[str, tuple[Any, set[str], int]] = {
    "the newest tasks": (lambda store: store.tasks(TaskQuery(limit=GROUP)), {"watches_pkey"}, 5 * GROUP),
    "the newest open tasks": (lambda store: store.tasks(TaskQuery(open=True, limit=GROUP)), {"watches_open_newest"}, 5 * GROUP),
    "a task": (lambda store: store.task("speaker-search/vc7/t7"), {"watches_key_key"}, 20),
    "the events of a task": (lambda store: store.task_events("speaker-search/vc7/t7"), {"watches_key_key", "events_id"}, 40),
    "undelivered events of a task": (lambda store: store.undelivered("speaker-search/vc7/t7"), {"watches_key_key", "events_id"}, 60),
    "all events": (lambda store: store.events(EventQuery(limit=GROUP)), {"events_pkey"}, 64 * GROUP * 2),
    "the newest dead letters": (lambda store: store.dead_letters(DeadLetterQuery(limit=GROUP)), {"dead_letters_at"}, 5 * GROUP),
    "dead letters of a task": (
        lambda store: store.dead_letters(DeadLetterQuery(key="speaker-search/vc7/t7", limit=GROUP)),
        {"dead_letters_key"},
        50,
    ),
    "dead letters by the start of an id": (
        lambda store: store.dead_letters(DeadLetterQuery(id_prefix="d99", limit=2 * GROUP)),
        {"dead_letters_id_key"},
        3000,
    ),
    "the requests of operators": (lambda store: store.requests(), {"dead_letters_retry", "watches_cancelled"}, 100),
    "a cancellation": (lambda store: store.cancel(["speaker-search/vc5/t3005"]), {"watches_key_key"}, 60),
    "the newest positions": (lambda store: store.positions(), {"events_pkey"}, 64 * 10),
    "an erasure by key": (lambda store: store.forget(Selection(key="speaker-search/vc7/t3007")), {"watches_key_key", "events_id"}, 200),
    "an erasure by connector": (
        lambda store: store.forget(Selection(value="vc9")),
        {"watches_first_param", "dead_letters_first_param", "events_id"},
        120 * ROWS // 1000,
    ),
    # either index of the open ones: which one depends on how much of the table is vacuumed
    "the number of open tasks": (lambda store: store.count_open(["speaker-search"]), set(), ROWS // 2),
    "the number of open tasks in a target": (lambda store: store.count_open(["speaker-search"], ["default"]), set(), ROWS // 2),
    "the number of dead letters": (lambda store: store.count_dead_letters(), {"dead_letters_what"}, ROWS // 10),
    "the backlog of a shard": (lambda store: store.count_backlog(3), {"events_pkey"}, 2 * ROWS // 64),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_queries(store: PostgresStore, plans: Plans, name: str) -> None:  # noqa: F811
    """Each query uses its index, and touches a number of blocks that its result explains."""
    ask, indexes, blocks = QUERIES[name]
    await ask(store)
    assert indexes <= plans.indexes
    assert not plans.whole_tables & {"watches", "events", "dead_letters"}
    assert plans.blocks < blocks
