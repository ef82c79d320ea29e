"""A configuration while it is put together: raw values, where each was written, and what is wrong so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from watcher.errors import ConfigMistakes

Path = tuple[str | int, ...]
"""The way to a value: `("sinks", 0, "path")`."""


def dotted(path: Path) -> str:
    """`sinks[0].path`; a key from outside is shortened, and loses what a terminal would act on."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return "".join(c if c.isprintable() else "?" for c in text[:120]) or "file"


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where a value was written: a line of a file, or a variable of the environment."""

    file: str = ""
    line: int = 0
    variable: str | None = None

    def __str__(self) -> str:
        return f"environment: {self.variable}" if self.variable else f"{self.file}:{self.line}"


@dataclass(slots=True)
class RawConfig:
    """Filled in by one step after another. A step reports what it finds and goes on, so that all mistakes are told at once."""

    file: str
    value: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, SourceLine] = field(default_factory=dict)
    words: dict[Path, str] = field(default_factory=dict)
    """What the environment gave, letter for letter: `123` may have been meant as a text."""
    broken: set[Path] = field(default_factory=set)
    _mistakes: list[tuple[bool, int, str]] = field(default_factory=list)

    def place(self, path: Path) -> SourceLine:
        """Where this was written, or what it is missing from."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, SourceLine(self.file, 1))

    def wrong(self, path: Path, what: str, place: SourceLine | None = None) -> None:
        """Note a mistake. `what` says what is wrong and what would be right, and never repeats a value that may be secret."""
        # the name of a variable says its own key, not one that is missing beside it
        beside = place is None and path not in self.places
        place = place or self.place(path)
        self.broken.add(path)
        text = f"{place}: {dotted(path)}: {what}" if beside or not place.variable else f"{place}: {what}"
        self._mistakes.append((place.variable is not None, place.line, text))

    @property
    def mistakes(self) -> tuple[str, ...]:
        """In the order of the file, then those of the environment."""
        return tuple(dict.fromkeys(text for _, _, text in sorted(self._mistakes)))

    def refuse(self) -> None:
        """Raise ConfigMistakes if there are any."""
        if self._mistakes:
            raise ConfigMistakes(self.mistakes)
