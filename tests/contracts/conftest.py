"""Exams are no test modules, so pytest must be told to explain their asserts."""

import pytest

pytest.register_assert_rewrite("tests.contracts.source_exam", "tests.contracts.sink_exam", "tests.contracts.store_exam")
