"""Several replicas on PostgreSQL: what the store costs beside SQLite, how work moves from one replica to another, and how calls are shared.

`python -m tests.benchmarks.replicas.soak` is a benchmark of its own: whether autovacuum keeps up.
"""

from __future__ import annotations

import sys
import time

from tests.benchmarks.postgres import server
from tests.benchmarks.replicas import adoption, handing_over, large_tables, quota, writes
from tests.benchmarks.table import Part, Table, command


def run(quick: bool) -> Table:
    """Measure each part, one after the other, on one server."""
    found: list[Part] = []
    with server() as on:
        for part in (writes, handing_over, quota, adoption, large_tables):
            began = time.monotonic()
            found.append(part.measure(on, quick))
            print(f"{part.__name__.rpartition('.')[2]}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    first, *others = found
    return Table("Several replicas on PostgreSQL", command("replicas"), f"{NOTE}\n{first.note}", first.header, first.rows, others)


NOTE = "What the store in PostgreSQL costs, how work moves from one replica to another, and how replicas share the calls."
