"""Guesses what the model of an API does not say: which parameter names a task, and which members are its times and texts. Pure.

Each guess is by name. A guess that is not sure has a reason, which becomes a `# check:` comment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcher.kinds.api_model import Operation, Shape

_PAGING = re.compile(r"token|marker|max(results|records|items)|next|limit|pagesize|sort|order|filter|include", re.IGNORECASE)
"""Names of parameters that do not name a task."""
_GENERIC = ("identifier", "name", "arn", "id")
_CREATED = re.compile(r"creat|submi|request|initiat|queued", re.IGNORECASE)
_STARTED = re.compile(r"start|begin|began|launch", re.IGNORECASE)
_ENDED = re.compile(r"complet|ended|end(time|date|at|_)|finish|stopped", re.IGNORECASE)
_CHANGED = re.compile(r"status.*(time|date|at$)|updat|modif|chang", re.IGNORECASE)
_POINT = "(date|time|datetime|timestamp|at|on)"
_CLEAR: Mapping[str, re.Pattern[str]] = {
    "created": re.compile(rf"(?P<noun>.*?)(creat(e|ed|ion)|submit(ted)?|submission){_POINT}|(?P<date>date)created"),
    "started": re.compile(rf"(?P<noun>.*?)(start|started|begin|began){_POINT}|(?P<date>date)started"),
    "ended": re.compile(rf"(?P<noun>.*?)(end|ended|complete|completed|completion|finish|finished|stop|stopped){_POINT}"),
}
"""Names that clearly say which time it is, in lower case. What comes before must be the task: `ClusterCreateTime` of a cluster."""
_OTHER_TIME = re.compile(
    r"next|maintenance|window|restart|expir|backup|latest|restorable|estimated|automatic|retention|schedul|expected|usage|password|token",
    re.IGNORECASE,
)
"""Names of times that are not those of the status of a task."""
_TEXT = re.compile(r"(status|state|fail|error).*(message|reason|detail|description)|^(message|reason)$|failurereason", re.IGNORECASE)
_SURE = 60
"""The lowest score of a guess that needs no check."""
_POSSIBLE = 45
"""The lowest score of a member that can be the id. With a lower score, its name does not fit the parameter."""


@dataclass(frozen=True, slots=True)
class OwnId:
    """The parameter that names one task, and the member of the task that repeats it."""

    param: str
    member: str
    """Empty: no member of the task is named like the parameter."""
    score: int
    """How sure the guess is, from 0 to 100."""

    @property
    def sure(self) -> bool:
        """Whether the guess needs no check."""
        return self.score >= _SURE


@dataclass(frozen=True, slots=True)
class TimeGuess:
    """A member of a task that is a point in time."""

    key: str
    """The key of the kind: created, started, or updated."""
    member: str
    sure: bool
    """Whether the name of the member clearly says that it is this time."""


def params_of(operation: Operation) -> Sequence[str]:
    """Return the parameters that can name a task: the required ones; if there are none, the optional ones."""
    members = operation.request.members
    required = [name for name in operation.request.required if is_param(members[name])]
    return required or optional_of(operation)


def optional_of(operation: Operation) -> Sequence[str]:
    """Return the optional parameters that can be identifiers."""
    members = operation.request.members
    optional = (name for name in members if name not in operation.request.required and not _PAGING.search(name))
    return [name for name in optional if is_param(members[name])]


def is_param(shape: Shape | None) -> bool:
    """Whether a param of a kind can stand here: a string, or a list of strings."""
    value = shape.element if shape is not None and shape.type == "list" else shape
    return value is not None and value.type == "string"


def own_id(params: Sequence[str], task: Shape, noun: str) -> OwnId:
    """Return the parameter and the member of the task that fit best.

    `noun` is what the operation describes, such as `DBSnapshots`.
    """
    strings = [name for name, shape in task.members.items() if shape is not None and shape.type == "string" and not shape.enum]
    scored = [
        (_score(param, member, noun), _plain(param).startswith(_plain(noun)), index, -order, param, member)
        for index, param in enumerate(params)
        for order, member in enumerate(strings)
    ]
    score, _, _, _, param, member = max(scored, default=(0, False, 0, 0, params[-1], ""))
    return OwnId(param, member if score >= _POSSIBLE else "", score)


def times_of(task: Shape, noun: str) -> Sequence[TimeGuess]:
    """Return the members of the task that are its times, by their names. `noun` is what the operation describes."""
    times = (name for name, shape in task.members.items() if shape is not None and shape.type == "timestamp")
    names = [name for name in times if not _OTHER_TIME.search(_plain(name).replace(_plain(noun), ""))]
    created = next((name for name in names if _CREATED.search(name)), "")
    started = next((name for name in names if _STARTED.search(name) and name != created), "")
    left = [name for name in names if name not in (created, started)]
    ended = next((name for name in left if _ENDED.search(name)), "")
    updated = ended or next((name for name in left if _CHANGED.search(name)), "")
    if not created:
        created, started = started, ""
    guesses = (("created", "created", created), ("started", "started", started), ("updated", "ended", updated))
    return [TimeGuess(key, name, _is_clear(meaning, name, noun)) for key, meaning, name in guesses if name]


def _is_clear(meaning: str, name: str, noun: str) -> bool:
    found = _CLEAR[meaning].fullmatch(name.lower().replace("_", ""))
    return found is not None and (found["noun"] or "") in _plain(noun)


def message_of(task: Shape) -> str:
    """Return the member with the service's message about the status; empty if there is none."""
    names = [name for name, shape in task.members.items() if shape is not None and shape.type == "string" and not shape.enum]
    return next((name for name in names if _TEXT.search(name)), "")


def result_of(task: Shape, taken: Sequence[str]) -> Mapping[str, str]:
    """Return up to three members of the task that could be its result, by the name in the result."""
    plain = ("string", "integer", "long", "double", "float", "boolean")
    shapes = {name: shape for name, shape in task.members.items() if shape is not None and name not in taken}
    found = [name for name, shape in shapes.items() if shape.type in plain and not shape.enum]
    words = re.compile(r"uri|url|output|result|location|count|size|code", re.IGNORECASE)
    return {_snake(name): name for name in sorted(found, key=lambda name: not words.search(name))[:3]}


def noun_of(operation: str) -> str:
    """Return what an operation describes: `DBSnapshots` for `DescribeDBSnapshots`."""
    return re.sub(r"^(BatchDescribe|BatchGet|Describe|Get|List)", "", operation) or operation


def dashed(name: str) -> str:
    """Return `DBSnapshots` as `db-snapshot`: lower case, with dashes, and singular."""
    return _singular(_snake(name).replace("_", "-"))


def _score(param: str, member: str, noun: str) -> int:
    """How likely a parameter and a member of the task are the same identifier: 0 to 100."""
    one, other, about = _plain(param), _plain(member), _plain(noun)
    same = next((word for word in _GENERIC if one.endswith(word) and other.endswith(word)), None)
    if one == other or _plain(_singular(param)) == other:
        return 100
    if other in _GENERIC and one.endswith(other):
        return 80
    if one in _GENERIC and other == about + one:
        return 75
    if same is not None and other.startswith(about):
        return 70
    if _plain(_singular(param)) in (about, "id", "name", "arn") and any(other == about + word for word in _GENERIC):
        return 50
    if other in _GENERIC and (one in _GENERIC or one.endswith("identifier")):
        return _POSSIBLE
    return 40 if same is not None else 20 if any(other.endswith(word) for word in _GENERIC) else 0


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _singular(name).lower())


def _singular(name: str) -> str:
    if re.search(r"(ss|us|is)$", name, re.IGNORECASE):
        return name
    return re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace("-", "_").lower()
