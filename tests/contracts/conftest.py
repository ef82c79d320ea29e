"""What the exams share: the other sides to sit them at."""

import pytest

# exams are no test modules, so pytest must be told to explain their asserts
pytest.register_assert_rewrite("tests.contracts.source_exam", "tests.contracts.sink_exam", "tests.contracts.store_exam")

from tests.moto_server import moto_server, moto_url  # noqa: E402, F401  the fixtures; imported after the line above
from tests.scripted_aws import scripted_aws  # noqa: E402, F401  the fixture
