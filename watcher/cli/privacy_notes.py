"""Notes about settings that protect less than a reader may expect. They are valid, so no mistake is reported."""

from __future__ import annotations

from watcher.config.load import Loaded


def privacy_notes(loaded: Loaded) -> list[str]:
    """One line, as `file:line: key: note`, if identifiers are digests that anyone can compute."""
    events = loaded.settings.events
    if events.results != "hashed" or events.hash_key is not None:
        return []
    return [
        f"{loaded.origin(('events', 'results'))}: events.results: is hashed without events.hash_key:"
        " anyone with a list of identifiers can test each one; set events.hash_key"
    ]
