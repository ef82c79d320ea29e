"""What the exams share: the other sides to sit them at."""

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures; imported after the line above
from tests.postgres import database, postgres_server, shared_database  # noqa: F401  the fixtures
from tests.scripted_aws import scripted_aws  # noqa: F401  the fixture
