"""The sentence that each JSON line of the log carries beside the name of its event, for a person who reads the log.

A placeholder is a fact of the line. A number follows its noun, so that 1 reads as well as 2. The sentences are made of facts
that were redacted before.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from string import Formatter
from typing import Any

MESSAGES: Mapping[str, str] = {
    "started": "The watcher started and reads from {sources}; open watches: {open_watches}.",
    "stop_requested": "The watcher received the signal {signal} and stops.",
    "stopping": "The watcher is stopping and ends within {deadline_s} s; calls in flight: {in_flight}.",
    "finished": "The watcher ends: all sources are read to their end, all watches have ended, and all events are settled.",
    "stopped_at_once": "A second signal ended the process at once.",
    "stopped_by_force": "The process did not end within {after_s} s and was ended by force.",
    "stopped_with_undelivered_events": "The watcher stopped; undelivered events: {events}.",
    "component_unhealthy": "{component} does not work: {reason}.",
    "component_healthy": "{component} works again, after {after_s} s.",
    "intake_paused": "Intake pauses: the limit limits.{reason} is reached.",
    "intake_resumed": "Intake resumes: the number is below the limit limits.{reason}.",
    "source_exhausted": "The source {source} is read to its end.",
    "input_rejected": "A message from the source {source} is invalid ({reason}: {detail}); it is dead letter {dead_letter}.",
    "input_ignored": "A message from the source {source} requires no action: {what}.",
    "submitted_again": "Tasks from the source {source}, such as {example}, were submitted before; still watched: {known}.",
    "deadline_reduced": "Deadlines from the source {source}, such as that of {example}, are reduced to {deadline_s} s; tasks: {tasks}.",
    "members_ignored": "A message from the source {source} has members that are not allowed and were ignored: {members}.",
    "delivery_failed": "The sink {sink} did not accept event {event_id} ({code}); it is sent again in {retry_in_s} s.",
    "delivery_refused": "The sink {sink} refused event {event_id} ({reason}); the event waits and is sent again.",
    "event_rejected": "Event {event_id}, which the sink {sink} refused ({reason}), is now a dead letter.",
    "task_token_without_sink": "A message has a task token, and no sink answers it: it is not stored.",
    "task_token_refused": "The sink {sink} refused a heartbeat for the task {task} ({reason}).",
    "task_token_closed": "An answer for the task {task} was refused ({reason}), because an earlier one probably arrived.",
    "heartbeats_failed": "The sink {sink} could not send heartbeats ({reason}): {heartbeats}; they are sent again.",
    "rejected_events_erased": "Dead letters of events were erased after watch.dead_letter_retention: {events}.",
    "sink_dropped": "The removed sink {sink} was dropped as requested; erased events for it: {undelivered}.",
    "sink_raised_unexpectedly": "The code of the sink {sink} failed with {error}; the batch is sent again.",
    "probe_raised_unexpectedly": "The code that calls AWS failed with {error}; the call is retried.",
    "calls_failed": "Calls to {service} fail ({code}), {failures} in a row so far; they are retried.",
    "batch_limit_lowered": "A call about several {kind} tasks failed because of its size ({reason}); tasks: {tasks}, now at most {limit}.",
    "batch_limit_restored": "Calls about several tasks of kind {kind} can have the full size again: {limit}.",
    "nothing_found": "A watch ends as not found, and no task under the quota {quota} was found since the start.",
    "refresh_failed": "Expired credentials could not be renewed: {code}.",
    "no_such_sink": "Dead letter {dead_letter} cannot be retried: no sink {sink} is configured.",
    "kind_statuses_differ": "The statuses of the kind {kind} are not those of its API: {differences}.",
    "unknown_kind": "The store has a task of kind {kind}, which this version does not know; it is not polled.",
    "unknown_target": "The store has a task of the target {target}, which is not configured; it is not polled.",
    "watches_cancelled": "Watches, such as that of {example}, ended because an operator cancelled them: {watches}.",
    "shard_lost": "Another process owns shard {shard} of the store now.",
    "replica_expired": "The replica {replica} did not renew its leases in time and lost them; shards: {shards}.",
    "shards_adopted": "This replica ({replica}) now owns {owned} shards, {shards} of them new; replicas: {replicas}.",
    "signals_lost": "The store cannot signal what other replicas do: {reason}.",
    "pruned": "Tasks that ended longer ago than watch.retention were erased: {watches}.",
    "tracing_unavailable": "The OTEL_* variables turn tracing on, but the watcher cannot send spans: {reason}.",
    "api_without_tokens": "The API listens on {address}, and no token is configured: only health and metrics are available.",
    "api_store_error": "An HTTP request failed because the store could not be reached: {reason}.",
    "event_reader_disconnected": "A reader was disconnected because it reads events too slowly.",
    "spans_lost": "Spans could not be sent to the collector: {spans}.",
    "deprecated_setting": "The configuration has a setting without effect.",
    "config_invalid": "The configuration file has mistakes: {mistakes}.",
    "config_valid": "The configuration file is valid; the next start uses it.",
}
"""By the name of the event."""


def placeholders(template: str) -> set[str]:
    """Return the facts that a sentence repeats."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def message_of(line: Mapping[str, Any]) -> str:
    """Return the sentence of a line. An event without one, such as one of a library, keeps its own text. A missing fact is shown as ?."""
    event = str(line.get("event", ""))
    template = MESSAGES.get(event)
    if template is None:
        return event
    return template.format_map({name: _text(line.get(name, "?")) for name in placeholders(template)})


def add_message(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that adds the member `message`. It must come after the one that redacts."""
    line.setdefault("message", message_of(line))
    return line


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)
