"""Task tokens: kept with their watch, read before an event is sent, and erased when they are answered or their watch is erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contracts.store_exam.facts import a_watch, all_tasks, commit, committed, forget, moved, settle, unsettled
from watcher.model import Portion, Watch
from watcher.ports import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contracts.store_exam import Storage


async def with_tokens(store: Store, *tokens: str, task: str = "t1") -> Watch:
    """Admit a task with these tokens. Returns its watch."""
    watch = a_watch(task)
    return (await store.admit([watch], {watch.key: tokens}))[0]


async def ended_with(store: Store, *tokens: str, task: str = "t1") -> Watch:
    """A task that has ended before these tokens came."""
    watch = (await store.admit([a_watch(task)]))[0]
    ended = moved(watch, "SUCCEEDED", end=True)
    await commit(store, ended)
    await with_tokens(store, *tokens, task=task)
    return ended.watch


async def late(store: Store) -> list[str]:
    return list(await store.late_tokens(range(store.shards), 100))


async def waiting(store: Store) -> list[tuple[str, str]]:
    return list((await store.open_tokens(range(store.shards), None, 100)).items)


class TokensExam:
    reopened: Callable[..., Awaitable[Store]]

    async def test_tokens_wait_for_their_task(self, store: Store) -> None:
        """Tokens that came with a task, and later ones of the same task, are returned in order of arrival, and none for other tasks."""
        watch = await with_tokens(store, "a")
        await with_tokens(store, "c", "b")
        other = (await store.admit([a_watch("t2")]))[0]
        assert await store.task_tokens([watch.key, other.key, "unknown"]) == {watch.key: ["a", "c", "b"]}
        assert await waiting(store) == [(watch.key, "a"), (watch.key, "c"), (watch.key, "b")]
        assert await late(store) == []

    async def test_two_tasks_may_have_the_same_token(self, store: Store) -> None:
        """A token belongs to a task; the store does not compare the tokens of different tasks."""
        first, second = await with_tokens(store, "a"), await with_tokens(store, "a", task="t2")
        assert await store.task_tokens([first.key, second.key]) == {first.key: ["a"], second.key: ["a"]}

    async def test_a_token_that_comes_again_is_ignored(self, store: Store) -> None:
        """A message that is received again adds nothing, neither before its token is answered nor after."""
        watch = await with_tokens(store, "a", "a")
        await with_tokens(store, "a")
        assert await store.task_tokens([watch.key]) == {watch.key: ["a"]}
        await store.drop_tokens({watch.key: ["a"]})
        await with_tokens(store, "a")
        assert await store.task_tokens([watch.key]) == {}
        assert await waiting(store) == []

    async def test_only_the_tokens_that_are_named_are_dropped(self, store: Store) -> None:
        """The others of the task stay, and so do those of other tasks. Unknown ones are ignored."""
        watch, other = await with_tokens(store, "a", "b"), await with_tokens(store, "a", task="t2")
        await store.drop_tokens({watch.key: ["a", "x"], "unknown": ["a"]})
        assert await store.task_tokens([watch.key, other.key]) == {watch.key: ["b"], other.key: ["a"]}

    async def test_tokens_stay_with_a_task_that_ends(self, store: Store) -> None:
        """The last event of a task is sent after its commit: the tokens are there, but none is late."""
        watch = await with_tokens(store, "a")
        await commit(store, moved(watch, "SUCCEEDED", end=True))
        assert await store.task_tokens([watch.key]) == {watch.key: ["a"]}
        assert await waiting(store) == []
        assert await late(store) == []

    async def test_a_token_for_a_task_that_has_ended_is_late(self, store: Store) -> None:
        """Its task is named until the token is dropped, the longest waiting first, and one time for several tokens."""
        first, second = await ended_with(store, "a", "b"), await ended_with(store, "a", task="t2")
        assert await late(store) == [first.key, second.key]
        assert list(await store.late_tokens(range(store.shards), 1)) == [first.key]
        assert await store.task_tokens([first.key]) == {first.key: ["a", "b"]}
        await store.drop_tokens({first.key: ["a", "b"]})
        assert await late(store) == [second.key]
        assert await store.late_tokens([], 100) == []

    async def test_the_tokens_of_ended_tasks_are_late_for_a_new_sink(self, store: Store, storage: Storage) -> None:
        """It starts after the events that ended them, as one does that was removed and is configured again: no event would answer them."""
        watch, other = await with_tokens(store, "a"), await with_tokens(store, "b", task="t2")
        answered = await with_tokens(store, "c", task="t3")
        await store.drop_tokens({answered.key: ["c"]})
        store = await self.reopened(storage, store, "bus", drop=["log"])
        for each in (watch, answered):
            await commit(store, moved(each, "SUCCEEDED", end=True))
        store = await self.reopened(storage, store, "bus")
        assert await late(store) == []
        store = await self.reopened(storage, store)
        assert await late(store) == [watch.key]
        assert await waiting(store) == [(other.key, "b")]
        await store.close()

    async def test_an_answer_that_was_begun_is_known(self, store: Store) -> None:
        """Tokens that were begun before are returned, also to another call: a crash may have come after the answer."""
        watch = await with_tokens(store, "a", "b")
        assert await store.begin_answers({watch.key: ["a"]}) == {}
        assert await store.begin_answers({watch.key: ["a", "b"]}) == {watch.key: ["a"]}
        assert await store.begin_answers({watch.key: ["b"]}) == {watch.key: ["b"]}
        assert await store.task_tokens([watch.key]) == {watch.key: ["a", "b"]}

    async def test_pages_of_open_tasks_with_tokens(self, store: Store) -> None:
        """The pages together have each token of the open tasks one time."""
        watches = [await with_tokens(store, f"a{n}", f"b{n}", task=f"t{n}") for n in range(5)]
        await commit(store, moved(watches[2], "SUCCEEDED", end=True))
        found, after = [], None
        while True:
            page = await store.open_tokens(range(store.shards), after, 3)
            assert len(page.items) <= 3
            found += page.items
            after = page.next
            if after is None:
                break
        assert found == [(watches[n].key, f"{name}{n}") for n in (0, 1, 3, 4) for name in "ab"]
        assert list((await store.open_tokens([], None, 3)).items) == []

    async def test_pages_go_on_behind_tokens_that_are_gone(self, store: Store) -> None:
        """What was dropped or erased after its page was read changes nothing for the tokens behind it."""
        watches = [await with_tokens(store, f"a{n}", task=f"t{n}") for n in range(4)]
        page = await store.open_tokens(range(store.shards), None, 2)
        await store.drop_tokens({watches[1].key: ["a1"]})
        await forget(store, watches[0])
        page = await store.open_tokens(range(store.shards), page.next, 2)
        assert list(page.items) == [(watches[2].key, "a2"), (watches[3].key, "a3")]

    async def test_a_forgotten_task_has_no_tokens(self, store: Store) -> None:
        """They are erased with the watch, and a new watch of the same task begins without."""
        watch = await ended_with(store, "a")
        await forget(store, watch)
        assert await late(store) == []
        await store.admit([a_watch(watch="w2")])
        assert await store.task_tokens([watch.key]) == {}
        await with_tokens(store, "a")
        assert await store.task_tokens([watch.key]) == {watch.key: ["a"]}

    async def test_a_pruned_task_has_no_tokens(self, store: Store) -> None:
        """They are erased with the watch."""
        watch = await ended_with(store, "a")
        for sink in ("bus", "log"):
            await settle(store, sink, await unsettled(store, sink))
        assert watch.ended_at is not None
        assert (await store.prune(watch.ended_at + 1)).watches == 1
        assert await late(store) == []

    async def test_tokens_are_there_after_a_restart(self, store: Store, storage: Storage) -> None:
        """A crash loses no token, and not the record of one that was answered."""
        watch = await with_tokens(store, "a", "b")
        await store.drop_tokens({watch.key: ["b"]})
        store = await self.reopened(storage, store)
        await with_tokens(store, "b")
        assert await store.task_tokens([watch.key]) == {watch.key: ["a"]}
        await store.close()

    async def test_no_answer_of_a_query_has_a_token(self, store: Store) -> None:
        """A token is in no watch, no event, and no text of these."""
        watch = await with_tokens(store, "secret-token")
        await committed(store, watch, "IN_PROGRESS")
        found = [await store.task(watch.key), await all_tasks(store), await store.task_events(watch.key), await unsettled(store)]
        assert "secret-token" not in repr(found)

    async def test_tokens_are_copied_with_their_watches(self, storage: Storage) -> None:
        """A copy has the tokens of open and of ended watches."""
        store = storage.store()
        await store.open_target()
        await store.begin_copy("a", ["bus", "log"])
        opened, ended = a_watch("t1"), a_watch("t2", status="SUCCEEDED", ended_at=1003.0, end_reason="terminal")
        await store.restore(Portion(watches=[opened, ended], task_tokens={opened.key: ["a", "b"], ended.key: ["c"]}), "1")
        await store.end_copy()
        assert await store.task_tokens([opened.key, ended.key]) == {opened.key: ["a", "b"], ended.key: ["c"]}
        await store.close()
