from __future__ import annotations

import asyncio

import pytest

# exams are no test modules, so pytest must be told to explain their asserts, and before anything imports them
pytest.register_assert_rewrite("tests.contracts.source_exam", "tests.contracts.sink_exam", "tests.contracts.store_exam")

# looptime asks for the current loop in synchronous tests too, and would be given a new one that nobody closes
asyncio.set_event_loop(None)
