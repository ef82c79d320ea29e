"""How likely a new task has left its first status already."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.first_looks import MEMORY, FirstLooks

KIND = "speaker-search"


@given(st.lists(st.booleans(), max_size=500))
def test_a_chance_is_between_0_and_1(looks: list[bool]) -> None:
    """Whatever was seen, neither is ever certain: the next task may be another one."""
    found = FirstLooks()
    for further in looks:
        found.learn(KIND, "queue", further)
        assert 0 < found.chance(KIND, "queue") < 1


def test_old_looks_are_forgotten() -> None:
    """After as many looks of the other kind as the memory holds, twice, the chance is close to what they show."""
    found = FirstLooks()
    for _ in range(1000):
        found.learn(KIND, "queue", True)
    for _ in range(int(2 * MEMORY)):
        found.learn(KIND, "queue", False)
    assert found.chance(KIND, "queue") < 0.2


def test_sources_and_kinds_are_learned_separately() -> None:
    """What one source delivers says nothing about another one."""
    found = FirstLooks()
    for _ in range(20):
        found.learn(KIND, "queue", True)
    assert found.chance(KIND, "file") == 0.5
    assert found.chance("voice-tone", "queue") == 0.5


def test_the_chances_are_kept_with_the_cadence() -> None:
    """A new process continues with them; a text without them, from an earlier version, is read too."""
    cadence, again = Cadence(CadenceSettings()), Cadence(CadenceSettings())
    for n in range(20):
        cadence.first_looks.learn(KIND, "queue", n % 4 == 0)
    again.restore(cadence.dump())
    assert again.first_looks.chance(KIND, "queue") == pytest.approx(cadence.first_looks.chance(KIND, "queue"), abs=1e-3)
    Cadence(CadenceSettings()).restore('{"price": 0.5, "samples": {}}')


@pytest.mark.parametrize(
    "rows", ["[[1]]", '[["k", "s", 5, 2]]', '[["k", "s", -1, 2]]', '[["k", "s", 1, 1e9]]', "7", '[["k", "s", "x", 1]]']
)
def test_unreadable_chances_are_ignored(rows) -> None:
    """The text as a whole is ignored then, as any other one that cannot be read."""
    cadence = Cadence(CadenceSettings())
    cadence.restore(f'{{"price": 7, "samples": {{}}, "first_looks": {rows}}}')
    assert cadence.price != 7
    assert cadence.first_looks.chance("k", "s") == 0.5
