from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A path for a store's file."""
    return tmp_path / "watcher.db"
