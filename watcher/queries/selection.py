"""Which tasks an operator means, by the name and the value of one of their parameters."""

from __future__ import annotations

from watcher.core.intake.kind_names import unknown_kind
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.query import Selection


def select_by_param(catalog: Catalog, kind_name: str, param_name: str, value: str) -> Selection:
    """Return the selection of all tasks of a kind whose parameter has this value. Raises InvalidInput: kind, field.

    The parameter goes by the name that AWS uses, or by the name in our own messages.
    """
    kind = catalog.get(kind_name)
    if kind is None:
        raise unknown_kind(kind_name, catalog)
    for index, param in enumerate(kind.params):
        if param_name in (param.name, param.field):
            return Selection(kind=kind.name, param=index, value=value)
    raise InvalidInput("field", f"{kind.name} has no such parameter; use one of {', '.join(param.name for param in kind.params)}")
