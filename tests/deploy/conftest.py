"""moto's server for the stacks."""

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
