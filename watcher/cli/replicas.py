"""`watcher replicas`: the replicas that share a store, what each one owns, and what is wrong."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.options import Server, config_option, json_option
from watcher.cli.store_access import StoreAccess, print_json
from watcher.cli.tables import duration, has_columns, sentence, table

if TYPE_CHECKING:
    from watcher.model import Replica
    from watcher.queries.replicas import ReplicaList

WIDE = 120
"""Columns of a terminal from which the table names the shards."""


@click.command()
@config_option(server=True)
@json_option()
def replicas(config: Path, server: Server | None, as_json: bool) -> None:
    """List the replicas of the store, and what each one owns.

    For each replica that is alive: its version, when it started, when it last
    renewed its leases and how long they are still valid, and its shards. Then, for
    each quota, its calls per second, the tasks that it polls, and how long the
    most overdue one has waited. On a terminal of 120 columns or more, and with
    --json, the shards have their numbers. Says what is wrong, such as shards
    without an owner. Needs a store that several replicas can share: exits with 74
    for any other one.

    \b
    Examples:
      watcher replicas
      watcher replicas watcher.yaml --json | jq '.replicas[] | {name, shards}'
    """
    found = _stored(config) if server is None else _of_server(server)
    if as_json:
        print_json(found.as_json())
        return
    if found.replicas:
        _print(found)
    for trouble in found.trouble:
        sentence(trouble, err=True)


def _stored(config: Path) -> ReplicaList:
    from watcher.queries.replicas import living_replicas

    return StoreAccess(config).run(living_replicas, shared=True)


def _of_server(server: Server) -> ReplicaList:
    from watcher.cli.server_access import ServerAccess
    from watcher.cli.store_access import SHARE
    from watcher.errors import StoreRefused
    from watcher.queries.from_json import replicas_from_json

    access = ServerAccess(server)
    found = access.read(access.run(lambda api: api.get("/v1/replicas")), replicas_from_json)
    if not found.replicas:  # the one that answered would be among them
        raise StoreRefused(f"the store of this watcher has a single owner, so it has no replicas: {SHARE}")
    return found


def _print(found: ReplicaList) -> None:
    now, wide = time.time(), has_columns(WIDE)
    columns = ("REPLICA", "VERSION", "STARTED", "RENEWED", "LEASE LEFT", "SHARDS")
    table(columns, [_row(replica, now, wide) for replica in found.replicas], own_line="REPLICA")
    quotas = [row for replica in found.replicas for row in _quota_rows(replica)]
    if quotas:
        click.echo()
        table(("REPLICA", "QUOTA", "CALLS/S", "TASKS", "LATE"), sorted(quotas, key=lambda row: row[1]), own_line="REPLICA")
    click.echo()
    owned = found.shards - len(found.unowned)
    sentence(f"{owned} of {found.shards} shards have an owner.")


def _row(replica: Replica, now: float, wide: bool) -> tuple[str, ...]:
    from watcher.queries.replicas import ranges

    shards = str(len(replica.shards))
    if replica.report.adopted < len(replica.shards):
        shards += f", {replica.report.adopted} loaded"
    if wide and replica.shards:
        shards += f": {', '.join(ranges(replica.shards))}"
    started = f"{duration(max(0.0, now - replica.started_at))} ago"
    return (
        replica.name,
        replica.report.version,
        started,
        f"{duration(replica.renewed_s_ago)} ago",
        duration(max(0.0, replica.expires_in_s)),
        shards,
    )


def _quota_rows(replica: Replica) -> list[tuple[str, ...]]:
    return [
        (replica.name, quota, f"{use.rate:.2f}", str(use.watches), duration(use.lateness_s))
        for quota, use in sorted(replica.report.quotas.items())
    ]
