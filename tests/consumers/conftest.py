from __future__ import annotations

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
