"""The peers of a watcher, as the tests of the runtime have them."""

from tests.runtime.conftest import world

__all__ = ["world"]
