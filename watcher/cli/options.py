"""Options that several commands have, and the exception that ends a command with an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit

__all__ = ["FILE", "Exit", "config_option", "json_option"]

FILE = click.Path(path_type=Path)
"""A path that need not exist: reading the configuration reports what is wrong with it."""
STORE_CONFIG = "The configuration of the watcher whose store is used."

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def config_option(help_text: str = STORE_CONFIG) -> Decorator:
    """Return the required option `--config FILE`."""
    return click.option("--config", metavar="FILE", type=FILE, required=True, help=help_text)


def json_option() -> Decorator:
    """Return the flag `--json`, for the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else.")
