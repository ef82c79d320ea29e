"""One YAML file and the environment become `Settings`, or the list of everything that is wrong with them.

In the order of the data: `document` reads the file, `overrides` lays the environment over it, `validate` makes
settings of it, `cross_checks` looks across keys. All write into one `RawConfig`, which knows where each value came from.
"""

from watcher.config.load import Loaded, defaults, load, parse, read
from watcher.config.settings import Settings, schema
from watcher.config.show import show

__all__ = ["Loaded", "Settings", "defaults", "load", "parse", "read", "schema", "show"]
