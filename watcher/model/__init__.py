"""The facts that pass through the watcher. Frozen: a stage creates a new fact and never changes an existing one.

Times are wall-clock seconds since the epoch (UTC) as floats; durations are seconds. The modules in the order of the
data: `inputs` and `tasks` come in, `watches` are polled, `changes` are committed and delivered, `undelivered` is the rest.
`task_tokens` are secrets of executions that wait for a task. `replicas` says which watchers share the work. `portions` are the
content of a store on its way into another one.
"""

from watcher.model.changes import Change, Event, EventType, Step, Transition
from watcher.model.inputs import Ignored, Message, Submission
from watcher.model.portions import Portion, StoredEvent
from watcher.model.replicas import Claim, QuotaUse, Replica, Report
from watcher.model.task_tokens import NO_TOKENS, TaskTokens, token_digest
from watcher.model.tasks import DEFAULT_TARGET, Lease, Scope, TaskRef, shard_of
from watcher.model.undelivered import Backlog, DeadLetter, Leftover, Pruned, RefusalCause
from watcher.model.watches import STATE_FIELDS, Observation, Result, Watch

__all__ = [
    "DEFAULT_TARGET",
    "NO_TOKENS",
    "STATE_FIELDS",
    "Backlog",
    "Change",
    "Claim",
    "DeadLetter",
    "Event",
    "EventType",
    "Ignored",
    "Lease",
    "Leftover",
    "Message",
    "Observation",
    "Portion",
    "Pruned",
    "QuotaUse",
    "RefusalCause",
    "Replica",
    "Report",
    "Result",
    "Scope",
    "Step",
    "StoredEvent",
    "Submission",
    "TaskRef",
    "TaskTokens",
    "Transition",
    "Watch",
    "shard_of",
    "token_digest",
]
