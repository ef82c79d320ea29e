"""The server of the tests in this directory."""

from tests.postgres import database, postgres_server, shared_database  # noqa: F401  the fixtures
