"""The settings of the store in PostgreSQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from watcher.section import Seconds, Section

NOT_INSTALLED = (
    "psycopg is not installed, which this store needs: pip install 'psycopg[binary]>=3.3', or install the watcher with its extra postgres"
)
_SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,47}")
"""Names that need no quotes. PostgreSQL keeps those that begin with pg_ for itself."""


def _check_dsn(dsn: SecretStr) -> SecretStr:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ValueError(NOT_INSTALLED) from None
    try:
        params = conninfo_to_dict(dsn.get_secret_value())
        valid = all(not port or (port.isdigit() and 0 < int(port) < 65536) for port in str(params.get("port", "")).split(","))
    except ProgrammingError:  # its text repeats a part of the value
        valid = False
    if not valid:
        raise ValueError(
            "expected a connection string of PostgreSQL, such as postgresql://user@host:5432/database?sslmode=verify-full"
            " or host=... dbname=...; in a URL, write special characters of a password percent-encoded"
        )
    return dsn


def _check_schema_name(name: str) -> str:
    if not _SCHEMA_NAME.fullmatch(name):
        raise ValueError("expected up to 48 lowercase letters, digits, and _, beginning with a letter or _, and not with pg_")
    return name


class PostgresStoreSettings(Section):
    """Keeps everything in PostgreSQL, where several replicas share the work. Nothing is lost when a process is killed."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["postgres"] = "postgres"
    dsn: Annotated[SecretStr, AfterValidator(_check_dsn)]
    """The connection string: a URL (postgresql://...) or `key=value` pairs, with any parameter of libpq, such as sslmode
    and sslrootcert. What it leaves out comes from PGHOST, PGUSER, PGPASSWORD, PGPASSFILE and so on. Treated as a secret."""
    password_file: Path | None = None
    """A file with the password. It is read for each new connection, so a changed password needs no restart."""
    schema_name: Annotated[str, AfterValidator(_check_schema_name)] = "watcher"
    """The schema of the tables. It is created when it is missing and the user may create it."""
    shards: int = Field(default=64, ge=1, le=1024)
    """Into how many parts the tasks are divided among the replicas. Used only when the store is created."""
    lease: Seconds = Field(default=15, ge=1, le=600)
    """How long a replica that does not answer keeps its tasks before the others take them over."""
    renew: Seconds = Field(default=5, ge=0.1, le=200)
    """How often a replica renews its leases: less than half of `lease`."""
    statement_timeout: Seconds = Field(default=10, ge=0.1, le=300)
    """The limit for one statement. After one second more without an answer, the connection counts as lost."""
    lock_timeout: Seconds = Field(default=3, ge=0.05, le=300)
    """How long a statement waits for a lock: less than `statement_timeout`."""
    max_connections: int = Field(default=4, ge=1, le=100)
    """The number of connections for reads. A replica has four more: two for writes, one for its leases, and one for signals."""

    @field_validator("renew")
    @classmethod
    def _check_renew(cls, renew: float, info: ValidationInfo) -> float:
        lease = info.data.get("lease")
        if lease is not None and renew >= lease / 2:
            raise ValueError(f"renew ({renew:g} s) must be less than half of lease ({lease:g} s); lower renew or raise lease")
        return renew

    @field_validator("lock_timeout")
    @classmethod
    def _check_lock_timeout(cls, lock_timeout: float, info: ValidationInfo) -> float:
        statement = info.data.get("statement_timeout")
        if statement is not None and lock_timeout >= statement:
            raise ValueError(f"lock_timeout ({lock_timeout:g} s) must be less than statement_timeout ({statement:g} s); lower lock_timeout")
        return lock_timeout
