from __future__ import annotations

import pytest

from tests.queries.recorded import dead_letter, record
from watcher.adapters.stores.memory import MemoryStore
from watcher.queries.dead_letters import DeadLetterLookupError, all_dead_letters, find_dead_letter, find_ids
from watcher.queries.pages import PAGE_SIZE

ONE, TWO = "1111aaaa1111aaaa", "1222bbbb2222bbbb"


async def test_all_dead_letters_are_read_over_several_pages(store: MemoryStore) -> None:
    """More dead letters than fit on a page are all listed, the newest first, with the size of their bodies only."""
    letters = [dead_letter(f"{n:016x}", b"nonsense", at=float(n)) for n in range(PAGE_SIZE + 5)]
    await record(store, dead_letters=letters)
    found = await all_dead_letters(store)
    assert [letter.id for letter in found] == [letter.id for letter in reversed(letters)]
    assert found[0].as_json()["bytes"] == 8


async def test_dead_letters_of_one_task_are_listed_alone(store: MemoryStore) -> None:
    """A key selects the dead letters of that task."""
    event = {"what": "event", "origin": "log", "reason": "size"}
    letters = [dead_letter(ONE, key="speaker-search/abc/t1", **event), dead_letter(TWO, key="speaker-search/abc/t2", **event)]
    await record(store, dead_letters=letters)
    assert [letter.id for letter in await all_dead_letters(store, key="speaker-search/abc/t2")] == [TWO]


async def test_the_beginning_of_an_id_is_enough(store: MemoryStore) -> None:
    """A beginning that only one id has finds that dead letter; ids that mean the same one are returned once."""
    await record(store, dead_letters=[dead_letter(ONE), dead_letter(TWO)])
    assert (await find_dead_letter(store, "12")).summary.id == TWO
    assert await find_ids(store, ["12", TWO, "11"]) == [TWO, ONE]


async def test_a_whole_id_is_found_although_another_one_begins_like_it(store: MemoryStore) -> None:
    """An exact match has priority over longer ids."""
    await record(store, dead_letters=[dead_letter("11"), dead_letter(ONE)])
    assert (await find_dead_letter(store, "11")).summary.id == "11"


@pytest.mark.parametrize(
    ("prefix", "what"), [("9", "no dead letter has this id"), ("1", "2 dead letters have an id that begins with this")]
)
async def test_an_id_that_names_none_or_several_is_an_error(store: MemoryStore, prefix: str, what: str) -> None:
    """The error names the text and says which of the two it is."""
    await record(store, dead_letters=[dead_letter(ONE), dead_letter(TWO)])
    with pytest.raises(DeadLetterLookupError, match=f"{prefix}: {what}"):
        await find_ids(store, [ONE, prefix])


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b'{"a":1,"a":2}', '{"a":1,"a":2}'),
        (b"\xff[", "\\xff["),
        (b"[" * 5000, "[" * 5000),
    ],
)
async def test_only_valid_json_is_indented(store: MemoryStore, body: bytes, text: str) -> None:
    """A body with a mistake is shown unchanged, and bytes that are not UTF-8 are escaped."""
    await record(store, dead_letters=[dead_letter(ONE, body)])
    assert (await find_dead_letter(store, ONE)).text == text
