"""The ports between the runtime and the outside world, and the obligations of each implementation.

Common to all: `open` comes first and `close` last, also after a failed `open`. An adapter makes one attempt and raises
a `RemoteError` (a store: a `StoreError`) that names what went wrong. It never sleeps, retries, or logs; only the
runtime waits. A cancelled call leaves the adapter usable. `check` makes one harmless call and returns what answered, in
a few words and without secrets; it raises what any other call would raise.

The store is four protocols for four audiences: `Shards` (ownership and writes), `Outbox` (delivery), `Queries` (reads
for commands and the API), and `Operations` (what operators request). One class implements all four, and `Copies` too, with
which the content of a store is copied into another one.

The exams in `tests/contracts/` check these obligations against every implementation.
"""

from watcher.ports.copies import Copies
from watcher.ports.operations import CANCEL_PAGE, RETRY_PAGE, Operations, Requests
from watcher.ports.outbox import Outbox
from watcher.ports.probe import Probe
from watcher.ports.queries import IDENTITY, Queries
from watcher.ports.shards import Shards, Signals
from watcher.ports.sink import Delivered, LocalSink, Outcome, Rejected, Retry, Sink, TokenSink
from watcher.ports.source import Source
from watcher.ports.store import PortableStore, Store

__all__ = [
    "CANCEL_PAGE",
    "IDENTITY",
    "RETRY_PAGE",
    "Copies",
    "Delivered",
    "LocalSink",
    "Operations",
    "Outbox",
    "Outcome",
    "PortableStore",
    "Probe",
    "Queries",
    "Rejected",
    "Requests",
    "Retry",
    "Shards",
    "Signals",
    "Sink",
    "Source",
    "Store",
    "TokenSink",
]
