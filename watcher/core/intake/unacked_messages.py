"""Which messages may be acknowledged, where the store is not durable: those whose watches have all ended and been told of.

Until then the queue holds the message for us: it is our pending set on disk.
"""

from __future__ import annotations

from collections.abc import Collection

from watcher.model import Message


class UnackedMessages:
    """Messages held, each with the keys it waits for; and for each key that ended, the sinks that have yet to take its last event."""

    def __init__(self, sinks: Collection[str]) -> None:
        self._sinks = frozenset(sinks)
        self._held: dict[tuple[str, str], tuple[Message, set[str]]] = {}
        self._by_key: dict[str, set[tuple[str, str]]] = {}
        """Also of keys whose messages were all lost: they come again, and must not be freed before their time."""
        self._closing: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, source: str, message: Message, keys: Collection[str]) -> None:
        """Keep the message until these keys are done. The same message again renews its receipt."""
        place = (source, message.id)
        waiting = self._held[place][1] if place in self._held else set()
        waiting |= set(keys)
        self._held[place] = (message, waiting)
        for key in keys:
            self._by_key.setdefault(key, set()).add(place)

    def waits_for(self, key: str) -> bool:
        """Whether a message is held for this key, or was until it was lost."""
        return key in self._by_key

    def told(self, key: str, sink: str) -> list[tuple[str, Message]]:
        """A sink is done with the last event of this task. Returns the messages (with their source) that may now be acknowledged."""
        if key not in self._by_key:
            return []  # done before: one of its dead letters was sent again
        left = self._closing.setdefault(key, set(self._sinks))
        left.discard(sink)
        return [] if left else self.done(key)

    def done(self, key: str) -> list[tuple[str, Message]]:
        """Nothing more will come of this key."""
        self._closing.pop(key, None)
        free = []
        for place in sorted(self._by_key.pop(key, ())):
            message, waiting = self._held[place]
            waiting.discard(key)
            if not waiting:
                del self._held[place]
                free.append((place[0], message))
        return free

    def held(self, source: str) -> list[Message]:
        """All messages of this source that are still ours to keep."""
        return [message for (name, _), (message, _) in self._held.items() if name == source]

    def lost(self, source: str, message: Message) -> None:
        """It is ours no longer: it comes again, and meets its own watch."""
        held = self._held.pop((source, message.id), None)
        for key in held[1] if held else ():
            self._by_key[key].discard((source, message.id))
