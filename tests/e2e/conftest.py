"""Real processes and real servers on loopback."""

from __future__ import annotations

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
from tests.postgres import database, postgres_server  # noqa: F401  the fixtures
