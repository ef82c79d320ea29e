"""Finds the ARN of a task in a text or in the members of an object, and the identifiers in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcher.core.intake.members import OUR_MEMBERS
from watcher.errors import InvalidInput
from watcher.kinds.arn import TaskArn
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind

PREFIX = "arn:"


def arn_values(kind: Kind, arn: TaskArn) -> tuple[str, ...]:
    """Return the identifiers in an ARN of this kind. If the last param is not in the template, its value is the whole ARN."""
    return tuple(arn.values.get(param.name, arn.arn) for param in kind.params)


def kinds_of_arn(text: str, catalog: Catalog) -> Mapping[Kind, TaskArn]:
    """Return the kinds whose template a text matches, each with the parts of the ARN."""
    if not text.startswith(PREFIX):
        return {}
    found = ((kind, kind.arn.match(text)) for kind in catalog if kind.arn is not None)
    return {kind: arn for kind, arn in found if arn is not None}


def kinds_of_arns(message: Mapping[str, Any], catalog: Catalog) -> Sequence[Kind]:
    """Return the kinds for which a member of the message is the ARN of a task, in the order of the catalog."""
    found = {kind for text in _arns_in([message]) for kind in kinds_of_arn(text, catalog)}
    if not found:
        return ()
    return [kind for kind in catalog if kind in found]


def by_arn(
    kind: Kind, values: Sequence[Any], objects: Sequence[Mapping[str, Any]], *, of_aws: bool = False
) -> tuple[Sequence[Any], TaskArn | None]:
    """Return the identifiers, completed by the ARN of the task among the members of these objects, and that ARN if there is one.

    `values` has None for an identifier that was not found otherwise. The task's own id may be the ARN. Raises InvalidInput: field,
    also if each ARN of such a task contradicts the identifiers. `of_aws`: AWS itself wrote them, so the ARN is that of another task.
    """
    if kind.arn is None:
        return values, None
    own = values[-1]
    whole = kind.arn.match(own) if isinstance(own, str) else None
    found = [whole] if whole is not None else [arn for text in _arns_in(objects) if (arn := kind.arn.match(text)) is not None]
    agreeing = [arn for arn in found if _agrees(values[:-1] if whole else values, arn_values(kind, arn))]
    if len(agreeing) == 1:
        return _completed(values, arn_values(kind, agreeing[0])), agreeing[0]
    if whole is not None or (found and not agreeing and not of_aws and all(value is None or isinstance(value, str) for value in values)):
        raise InvalidInput("field", "the ARN and the identifiers are of different tasks; keep one of them")
    if len(agreeing) > 1 and None in values:
        raise InvalidInput("field", "there are several ARNs of such tasks; name each task in a message of its own")
    return values, None


def _arns_in(objects: Iterable[Mapping[str, Any]]) -> Sequence[str]:
    texts = (value for each in objects for name, value in each.items() if name not in OUR_MEMBERS)
    return list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.startswith(PREFIX)))


def _agrees(values: Sequence[Any], of_arn: Sequence[str]) -> bool:
    """Whether the known identifiers agree with those in the ARN. A known identifier can itself be an ARN that ends with the name, such as
    that of a cluster."""
    return all(value is None or _is_same(value, other) or _names(value, other) for value, other in zip(values, of_arn, strict=False))


def _completed(values: Sequence[Any], of_arn: Sequence[str]) -> Sequence[Any]:
    """The identifiers in the ARN, except that one that was given keeps its case."""
    return tuple(value if _is_same(value, other) else other for value, other in zip(values, of_arn, strict=True))


def _is_same(value: Any, other: str) -> bool:
    """Whether an identifier is that of an ARN. ARNs of Amazon SageMaker have the names of jobs in lower case."""
    return isinstance(value, str) and other in (value, value.lower())


def _names(value: Any, name: str) -> bool:
    return isinstance(value, str) and value.startswith(PREFIX) and value.endswith((f"/{name}", f":{name}"))
