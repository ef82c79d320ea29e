"""Turns one YAML file and the environment into `Settings`, or reports every mistake in them.

The modules in the order of the data: `yaml_reader` reads the file, `overrides` applies environment variables,
`validate` makes settings of the result, `cross_checks` compares keys with each other. All of them note mistakes in one
`RawConfig`, which knows where each value was set.
"""

from watcher.config.catalog import catalog_of
from watcher.config.load import Loaded, defaults, load, parse, read, read_sections, variables
from watcher.config.settings import Settings, schema
from watcher.config.show import show

__all__ = ["Loaded", "Settings", "catalog_of", "defaults", "load", "parse", "read", "read_sections", "schema", "show", "variables"]
