"""Checks of texts from a client that are compared with texts in the store."""

from __future__ import annotations

from watcher.api.problems import Problem


def is_storable(text: str) -> bool:
    """Whether a store can contain this text: no NUL, which PostgreSQL does not accept, and nothing that is not Unicode."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def check_texts(*texts: str | None) -> None:
    """Check parameters. Raises Problem (400) for a text that no store can contain."""
    if not all(text is None or is_storable(text) for text in texts):
        raise Problem(400, "A parameter is invalid: it contains a NUL, or is not Unicode.")
