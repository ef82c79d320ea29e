"""Finds the task and its status in the reply that a waiter looks at, and what each status means to the waiter. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.kinds.api_model import Operation, Shape
from watcher.kinds.form import PLACEHOLDER_STATUS
from watcher.kinds.path_shapes import shape_found
from watcher.kinds.waiter_guesses import OwnId, own_id, params_of

_STEP = r"[A-Za-z_][A-Za-z0-9_]*(\[[*0-9]*\])?"
_STEPS = re.compile(rf"{_STEP}(\.{_STEP})*")
"""A path to one status: names, and lists, of which the first element is the polled task."""
_END = re.compile(
    r"fail|error|delet|terminat|cancel|stopped|expired|timed?_?out|complete|succe|abort|rejected|available|active", re.IGNORECASE
)
"""Words that look like the end of a task."""
_RUNNING = re.compile(r"ing$|progress|_ing_", re.IGNORECASE)

Acceptors = Sequence[Mapping[str, Any]]


class UnusableWaiter(Exception):
    """A waiter that cannot become a kind. The text says why."""


@dataclass(frozen=True, slots=True)
class StatusPlace:
    """Where a waiter finds the task and its status."""

    argument: str
    """As the waiter has it."""
    task: str
    status: str
    """Relative to the task."""
    shape: Shape
    """That of the task."""
    own: OwnId


def place_of(acceptors: Acceptors, operation: Operation, noun: str) -> StatusPlace:
    """Return where the status is. Raises UnusableWaiter if the waiter looks at none, or if nothing identifies the task."""
    argument = _argument(acceptors)
    params = params_of(operation)
    if not params:
        raise UnusableWaiter(f"{operation.name} has no parameter that names one task")
    best: StatusPlace | None = None
    for task, status in _splits(argument):
        shape = shape_found(task, operation.reply, lambda what: None)
        if shape is not None and shape.type == "structure":
            own = own_id(params, shape, noun)
            if best is None or own.score > best.own.score:
                best = StatusPlace(argument, task, status, shape, own)
    if best is None:
        raise UnusableWaiter(f"{argument} is not in the API model")
    found = shape_found(best.status, best.shape, lambda what: None)
    if found is None or found.type != "string":
        raise UnusableWaiter(f"{argument} is not a string in the API model")
    return best


def _argument(acceptors: Acceptors) -> str:
    """Return the path to the status: of those that are compared with words, the one that decides most often."""
    counts: dict[str, int] = {}
    for each in acceptors:
        argument = str(each.get("argument", ""))
        if each["matcher"].startswith("path") and isinstance(each["expected"], str) and _STEPS.fullmatch(argument):
            counts[argument] = counts.get(argument, 0) + (100 if each["state"] == "success" else 1)
    if counts and max(counts.values()) >= 100:
        return max(counts, key=lambda argument: counts[argument])
    conditions = [str(each["argument"]) for each in acceptors if "argument" in each]
    codes = [str(each["expected"]) for each in acceptors if each["matcher"] == "error" and each["state"] == "success"]
    if conditions and codes:
        raise UnusableWaiter(f"it waits until the task no longer exists (error {codes[0]}); a kind needs a status that ends the task")
    if conditions:
        raise UnusableWaiter(f"it does not wait for a status: it looks at {', '.join(dict.fromkeys(conditions))}")
    raise UnusableWaiter("it looks only at HTTP statuses and error codes, not at a status in the reply")


def _splits(argument: str) -> Sequence[tuple[str, str]]:
    """Return each way to divide a path into that of the task and that of the status, the outermost task first."""
    first = re.sub(r"\[[*0-9]*\]", "[0]", argument)
    in_list, bracket, rest = first.rpartition("[0].")
    if bracket:
        return [(f"{in_list}[0]", rest)]
    names = first.split(".")
    return [("@", first), *((".".join(names[:size]), ".".join(names[size:])) for size in range(1, len(names)))]


def statuses_of(acceptors: Acceptors, place: StatusPlace) -> Sequence[tuple[str, str, str]]:
    """Return each status with its class, and what to check about it; open ones first. Raises UnusableWaiter."""
    found = shape_found(place.status, place.shape, lambda what: None)
    enum = () if found is None else found.enum
    words = {state: _words(acceptors, place.argument, state, enum) for state in ("success", "failure", "retry")}
    succeeded, failed = words["success"], [word for word in words["failure"] if word not in words["success"]]
    known = enum or tuple(dict.fromkeys(words["retry"]))
    open_ = [word for word in known if word not in succeeded and word not in failed]
    if not succeeded and not failed:
        raise UnusableWaiter(f"the API model does not have the statuses that it waits for; {place.argument} can be: {', '.join(enum)}")
    if enum and not open_:
        raise UnusableWaiter(f"each status of {place.argument} ends it, and a kind needs an open status: {', '.join(enum)}")
    rows = [(word, "open", _doubt(word)) for word in open_]
    if not enum:
        first, *others = open_ or [PLACEHOLDER_STATUS]
        wanted = "" if open_ else f"replace {PLACEHOLDER_STATUS} with the first status of such a task; "
        check = f"{wanted}the API model does not list the statuses; complete this list"
        rows = [(first, "open", check), *((word, "open", "") for word in others)]
    rows += [(word, "succeeded", _doubt_end(word)) for word in succeeded]
    return [*rows, *((word, "failed", _doubt_end(word)) for word in failed)]


def _words(acceptors: Acceptors, argument: str, state: str, enum: Sequence[str]) -> list[str]:
    """Return the statuses of one outcome, as the API spells them. A word that the API does not have is left out."""
    spelled = {word.lower(): word for word in enum}
    expected = [str(each["expected"]) for each in acceptors if each.get("argument") == argument and each["state"] == state]
    return list(dict.fromkeys(spelled[word.lower()] if enum else word for word in expected if not enum or word.lower() in spelled))


def _doubt(word: str) -> str:
    """What to check about a status that the waiter does not name."""
    ended = _END.search(word) and not _RUNNING.search(word)
    return "succeeded or failed, if no other status follows it" if ended else ""


def _doubt_end(word: str) -> str:
    """What to check about a status with which the waiter ends."""
    return "open, if another status follows it" if _RUNNING.search(word) else ""
