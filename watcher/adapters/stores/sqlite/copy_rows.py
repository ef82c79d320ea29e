"""The content of another store, written into the file as it is."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence

from watcher.adapters.dead_letter_bodies import pack
from watcher.adapters.stores.sqlite import event_rows, owner_rows, watch_rows
from watcher.core.copying import marker
from watcher.errors import StoreRefused
from watcher.model import DEFAULT_TARGET, DeadLetter, Portion, StoredEvent, TaskRef
from watcher.ports import IDENTITY

_ADD_EVENT = """INSERT INTO events (watch, id, type, "to", terminal, at, body)
    SELECT n, ?, ?, ?, ?, ?, ? FROM watches WHERE key = ?"""
_ADD_DEAD_LETTER = """INSERT INTO dead_letters (id, what, origin, reason, detail, at, key, position, tries, retry, body, size, kind, params)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, coalesce(w.kind, ?13), coalesce(w.params, ?14)
    FROM (SELECT 1) LEFT JOIN watches w ON w.key = ?7"""
_HAS_CONTENT = "SELECT EXISTS (SELECT 1 FROM watches) OR EXISTS (SELECT 1 FROM dead_letters)"  # an event has a watch


def check_empty(db: sqlite3.Connection) -> None:
    """Raise StoreRefused for content that is not an unfinished copy."""
    found = owner_rows.load_state(db, marker.NAME)
    marker.check_empty(found, has_content=bool(db.execute(_HAS_CONTENT).fetchone()[0]))


def check_complete(db: sqlite3.Connection) -> None:
    """Raise StoreRefused for an unfinished copy."""
    marker.check_complete(owner_rows.load_state(db, marker.NAME))


def accept(db: sqlite3.Connection) -> None:
    """Forget that the content is a copy, before a watcher changes it. Raises StoreRefused for an unfinished one."""
    check_complete(db)
    owner_rows.drop_state(db, marker.NAME)


def begin(db: sqlite3.Connection, source: str, sinks: Sequence[str]) -> str:
    """Begin or continue a copy. Returns how far it got."""
    found = owner_rows.load_state(db, marker.NAME)
    record, progress = marker.begin(found, source)
    if found is None:
        owner_rows.drop_states(db)
        owner_rows.save_state(db, IDENTITY, secrets.token_hex(16))  # the events of the copy get new positions
        owner_rows.drop_forgotten(db)
        event_rows.set_sinks(db, [])
        event_rows.set_sinks(db, sinks)
    owner_rows.next_epoch(db)  # no lease of an earlier owner is valid
    owner_rows.save_state(db, marker.NAME, record)
    return progress


def restore(db: sqlite3.Connection, portion: Portion, progress: str) -> None:
    """Add a portion, and record how far the copy got."""
    record = marker.advance(owner_rows.load_state(db, marker.NAME), progress)
    watch_rows.admit(db, portion.watches, portion.task_tokens)
    _add_events(db, portion.events)
    db.executemany(_ADD_DEAD_LETTER, [_dead_letter_row(dead_letter) for dead_letter in portion.dead_letters])
    for name, text in portion.states.items():
        owner_rows.save_state(db, name, text)
    watch_rows.cancel(db, portion.cancelled)
    owner_rows.save_state(db, marker.NAME, record)


def states(db: sqlite3.Connection) -> dict[str, str]:
    """The texts that belong to the content, by name."""
    return {name: text for name, text in owner_rows.states(db).items() if name not in (marker.NAME, IDENTITY)}


def end(db: sqlite3.Connection) -> None:
    """Record that the copy is complete."""
    owner_rows.save_state(db, marker.NAME, marker.complete(owner_rows.load_state(db, marker.NAME)))


def _add_events(db: sqlite3.Connection, events: Sequence[StoredEvent]) -> None:
    """Store events at the next positions, which follow one another because nothing else writes."""
    before = event_rows.newest(db)
    rows = [(e.id, e.type, e.to, e.terminal, e.at, e.body, e.key) for e in (stored.event for stored in events)]
    if db.executemany(_ADD_EVENT, rows).rowcount not in (len(rows), -1):
        raise StoreRefused("an event of the source has no watch there, as in a damaged file: restore a backup of the source")
    for sink in event_rows.sinks(db):
        event_rows.settle(db, sink, {before + n for n, stored in enumerate(events, 1) if sink not in stored.unsettled})


def _dead_letter_row(dead_letter: DeadLetter) -> tuple[object, ...]:
    """The values of a row. The task of an event whose watch is gone is named by its key."""
    x = dead_letter
    task = None if x.key is None else TaskRef.of(x.key, DEFAULT_TARGET)
    names = (None, None) if task is None else (task.kind, json.dumps(task.params))
    return (x.id, x.what, x.origin, x.reason, x.detail, x.at, x.key, x.position, x.tries, x.retry, *pack(x.body), *names)
