"""The server of the tests with PostgreSQL."""

from tests.postgres import database, postgres_server  # noqa: F401  the fixtures
