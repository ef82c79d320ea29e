"""What holds for every test: options, speed that does not matter, and nothing left behind for the next test."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

# exams are no test modules, so pytest must be told to explain their asserts, and before anything imports them
pytest.register_assert_rewrite("tests.contracts.source_exam", "tests.contracts.sink_exam", "tests.contracts.store_exam")

# looptime asks for the current loop in synchronous tests too, and would be given a new one that nobody closes
asyncio.set_event_loop(None)

# a slow or busy machine makes no property false; each run draws other examples
settings.register_profile("untimed", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


ENDING_S = 60.0
"""How long a thread may take to end, in seconds: only one that never ends takes as long."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--stories N`: how many stories the simulation plays."""
    parser.addoption("--stories", type=int, default=20, metavar="N", help="stories of the simulation to play (default 20)")


def pytest_collection_finish() -> None:
    """Leave thousands of collected tests and their modules out of each later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def sdk_data_read_once() -> Iterator[None]:
    """Let botocore read each of its data files once per process: each new session reads them anew, which was most of a test's time."""
    from botocore.loaders import JSONFileLoader

    read, contents = JSONFileLoader.load_file, dict[str, Any]()

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        if file_path not in contents:
            contents[file_path] = read(self, file_path)
        return contents[file_path]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", load_file)
        yield


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Put the logging of the process back to what it was before the test."""
    root, structured = logging.getLogger(), structlog.get_config()
    handlers = list(root.handlers)
    levels = {logger: logger.level for logger in _loggers()}
    yield
    root.handlers[:] = handlers
    for logger, level in levels.items():
        if logger.level != level:
            logger.setLevel(level)
    structlog.configure(**structured)


def _loggers() -> list[logging.Logger]:
    """All loggers of the standard library that there are, with the root."""
    named = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    return [logging.root, *named]


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process or a thread behind, or a socket, pipe or loop that nobody closed."""
    threads = set(threading.enumerate())
    yield
    if request.node.get_closest_marker("process") is not None:
        gc.collect()  # a ResourceWarning belongs to the test whose garbage it is
        gc.freeze()  # what is still used stays: the next collection does not visit it again
    with pytest.raises(ChildProcessError):  # no child, running or not reaped
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    started = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in started:
        thread.join(timeout=ENDING_S)  # a worker thread of a loop that was just closed is about to end
    assert [thread.name for thread in started if thread.is_alive()] == [], "threads are left"
