"""Which messages may be acknowledged when the store is not durable: those whose tasks have ended, with all events delivered.

Until then the source keeps each message, so that another process receives it again if this one ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from watcher.model import Message

_MessageId = tuple[str, str]
"""The name of a source and the id of a message, which is unique within its source."""


class UnackedMessages:
    """The messages that are not acknowledged yet, and the tasks that each of them waits for.

    A task is done when every sink has settled its last event. The methods that make tasks done return the messages, each with
    the name of its source, that may now be acknowledged.
    """

    def __init__(self, sinks: Collection[str]) -> None:
        self._sinks = frozenset(sinks)
        self._held: dict[_MessageId, tuple[Message, set[str]]] = {}
        """Each message with the keys that it waits for."""
        self._by_key: dict[str, set[_MessageId]] = {}
        """The messages that wait for a key. The set is empty after all of them were lost: they come again, and must still wait."""
        self._unsettled: dict[str, set[str]] = {}
        """The sinks that have not settled the last event of a key, once one of them has."""

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, source: str, message: Message, keys: Collection[str]) -> None:
        """Keep the message until these keys are done. The same message again replaces its receipt."""
        id_ = (source, message.id)
        waits_for = self._held[id_][1] if id_ in self._held else set()
        waits_for |= set(keys)
        self._held[id_] = (message, waits_for)
        for key in keys:
            self._by_key.setdefault(key, set()).add(id_)

    def waits_for(self, key: str) -> bool:
        """Whether a message waits for this key, or did until it was lost."""
        return key in self._by_key

    def settled(self, key: str, sink: str) -> list[tuple[str, Message]]:
        """Record that a sink has settled the last event of this task."""
        if key not in self._by_key:
            return []  # done before: a dead letter of it was retried
        unsettled = self._unsettled.setdefault(key, set(self._sinks))
        unsettled.discard(sink)
        return [] if unsettled else self.done(key)

    def done(self, key: str) -> list[tuple[str, Message]]:
        """Record that nothing more will happen to this task."""
        self._unsettled.pop(key, None)
        free = []
        for id_ in sorted(self._by_key.pop(key, ())):
            message, waits_for = self._held[id_]
            waits_for.discard(key)
            if not waits_for:
                del self._held[id_]
                free.append((id_[0], message))
        return free

    def held(self, source: str) -> list[Message]:
        """All messages of this source that are held."""
        return [message for (name, _), (message, _) in self._held.items() if name == source]

    def lost(self, source: str, message: Message) -> None:
        """Record that this process no longer holds the message: it comes again, and its tasks already have watches."""
        self._remove((source, message.id))

    def drop_where(self, predicate: Callable[[str], bool]) -> None:
        """Forget every key that matches, such as those of a shard that another replica takes over.

        Messages that wait for such a key are no longer held. They are never acknowledged here, so they come again.
        """
        for key in [key for key in self._by_key if predicate(key)]:
            for id_ in list(self._by_key[key]):
                self._remove(id_)
            del self._by_key[key]
            self._unsettled.pop(key, None)

    def _remove(self, id_: _MessageId) -> None:
        held = self._held.pop(id_, None)
        for key in held[1] if held else ():
            self._by_key[key].discard(id_)
