"""A configuration between its text and its settings: raw values, the origin of each, and the mistakes found so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from watcher.errors import ConfigMistakes
from watcher.yaml_text import KeyPath, dotted


@dataclass(frozen=True, slots=True)
class SourceLine:
    """Where a value was set: a line of a file, or an environment variable."""

    file: str = ""
    line: int = 0
    variable: str | None = None

    def __str__(self) -> str:
        return f"environment: {self.variable}" if self.variable else f"{self.file}:{self.line}"


@dataclass(slots=True)
class RawConfig:
    """What each step of reading a configuration fills in. A step notes its mistakes and continues, so that all are reported at once."""

    file: str
    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, SourceLine] = field(default_factory=dict)
    environment_texts: dict[KeyPath, str] = field(default_factory=dict)
    """Values from the environment before they became numbers, booleans or null: `123` may be meant as a string."""
    skipped: frozenset[str] = frozenset()
    """The sections that are not read: nothing in them is a mistake."""
    invalid_paths: set[KeyPath] = field(default_factory=set)
    """The keys that have a mistake."""
    _mistakes: list[tuple[bool, int, str]] = field(default_factory=list)
    """Whether the mistake is in the environment, its line in the file, and its text."""

    def origin(self, path: KeyPath) -> SourceLine:
        """Return where this value was set; for a missing value, where the section around it was."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, SourceLine(self.file, 1))

    def add_mistake(self, path: KeyPath, what: str, origin: SourceLine | None = None) -> None:
        """Note a mistake. `what` says what is wrong and what to do, and repeats no value that may be a secret."""
        if path and path[0] in self.skipped:
            return
        # The name of a variable names its own key, but not a key that is missing beside it.
        names_key = origin is not None or path in self.origins
        origin = origin or self.origin(path)
        self.invalid_paths.add(path)
        text = f"{origin}: {what}" if origin.variable and names_key else f"{origin}: {dotted(path)}: {what}"
        self._mistakes.append((origin.variable is not None, origin.line, text))

    @property
    def mistakes(self) -> tuple[str, ...]:
        """All mistakes: those of the file by line, then those of the environment."""
        return tuple(dict.fromkeys(text for _, _, text in sorted(self._mistakes)))

    def raise_mistakes(self) -> None:
        """Raise ConfigMistakes if there are mistakes."""
        if self._mistakes:
            raise ConfigMistakes(self.mistakes)
