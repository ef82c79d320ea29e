"""Writes the generated part of docs/kinds.md: the shipped kinds, and the keys of a kind.

    python -m watcher.kinds.document docs/kinds.md

replaces what is between the two marker lines of the page. The rest of the page is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from watcher.kinds.catalog import builtin_catalog, builtin_texts
from watcher.kinds.form import KindForm
from watcher.kinds.form_parts import BatchForm, DurationForm, NotificationsForm, ParamForm, QuotaForm, StartForm
from watcher.kinds.kind import Kind, StatusClass
from watcher.section import Section

BEGIN = "<!-- begin of what `python -m watcher.kinds.document docs/kinds.md` writes -->"
END = "<!-- end of what `python -m watcher.kinds.document docs/kinds.md` writes -->"

_PARTS: Mapping[str, type[Section]] = {
    "params": ParamForm,
    "batch": BatchForm,
    "notifications": NotificationsForm,
    "start": StartForm,
    "quota": QuotaForm,
    "durations": DurationForm,
}
"""The keys of a kind with keys of their own."""
_IAM_PREFIXES: Mapping[str, str] = {"stepfunctions": "states", "chime-sdk-voice": "chime", "chime-sdk-media-pipelines": "chime"}
"""The services that IAM names differently from botocore."""
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def updated_page(page: str) -> str:
    """Return a page with the generated part as it is now. Raises ValueError for a page without the markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page does not have both marker lines")
    return f"{before}{BEGIN}\n\n{generated()}\n{END}{after}"


def generated() -> str:
    """Return the generated part: all tables, and a message for each kind."""
    kinds = sorted(builtin_catalog(), key=lambda kind: kind.name)
    return "\n".join(
        [
            "## The shipped kinds",
            "",
            *_table(("kind", "tasks", "calls", "identifiers in a message", "tasks in a call"), map(_overview, kinds)),
            "",
            *_notes(kinds),
            "### Statuses",
            "",
            "In the order in which a task has them. The column `open` includes provisional statuses. A status that is not in the table"
            " counts as open.",
            "",
            *_table(("kind", "open", "succeeded", "failed"), map(_statuses, kinds)),
            "",
            "### ARNs, notifications, and starts",
            "",
            *_table(("kind", "ARN", "notification of AWS", "call in CloudTrail that starts a task"), map(_sources, kinds)),
            "",
            "### Permissions, rate limits, and retention",
            "",
            "The watcher needs the permissions for each kind that it watches. `(assumed)`: AWS does not document a time, or sets no limit.",
            "",
            *_table(("kind", "IAM actions", "rate limit", "AWS keeps a finished task for"), map(_limits, kinds)),
            "",
            "### A message for each kind",
            "",
            "```json",
            *map(_message, kinds),
            "```",
            "",
            "## The keys of a kind",
            "",
            *_form(),
        ]
    )


def _overview(kind: Kind) -> Sequence[str]:
    call = f"{_code(kind.service)} {_codes(kind.operations)}"
    return _code(kind.name), _description(kind)[0], call, _codes(param.field for param in kind.params), str(kind.batch_size)


def _notes(kinds: Iterable[Kind]) -> Iterator[str]:
    for kind in kinds:
        if rest := _description(kind)[1]:
            yield f"* {_code(kind.name)}: {rest}"
    yield ""


def _description(kind: Kind) -> tuple[str, str]:
    """The first sentence of the comment at the top of the kind's file, and the rest of that comment."""
    lines = re.match(r"(?:#.*\n)+", _text(kind))
    text = re.sub(r"\s*\n?# ?", " ", lines[0] if lines else "").strip()
    first, _, rest = text.partition(". ")
    return first.rstrip("."), rest


def _text(kind: Kind) -> str:
    return builtin_texts()[f"{kind.name}.yaml"]


def _statuses(kind: Kind) -> Sequence[str]:
    def of(*classes: StatusClass) -> str:
        return _codes(status for status, class_ in kind.statuses.items() if class_ in classes)

    return _code(kind.name), of(StatusClass.OPEN, StatusClass.PROVISIONAL), of(StatusClass.SUCCEEDED), of(StatusClass.FAILED)


def _sources(kind: Kind) -> Sequence[str]:
    known = kind.notifications
    notification = "" if known is None else f"{_code(known.source)} {_codes(known.detail_types)}"
    start = "" if kind.start is None else f"{_code(kind.start.source)} {_code(kind.start.event_name)}"
    return _code(kind.name), "" if kind.arn is None else _code(kind.arn.text), notification, start


def _limits(kind: Kind) -> Sequence[str]:
    size, unit = next((kind.retention_s / size, unit) for unit, size in _UNITS if kind.retention_s % size == 0)
    assumed = "" if re.search(r"^retention:", _text(kind), re.MULTILINE) else " (assumed)"
    return _code(kind.name), _codes(iam_actions(kind)), kind.quota.title, f"{size:g} {unit}{assumed}"


def iam_actions(kind: Kind) -> Sequence[str]:
    """Return the permissions for the calls of a shipped kind, such as `states:DescribeExecution`."""
    return [f"{_IAM_PREFIXES.get(kind.service, kind.service)}:{_action(method)}" for method in kind.operations]


def _action(method: str) -> str:
    return "".join("DB" if word == "db" else word.capitalize() for word in method.split("_"))


def _message(kind: Kind) -> str:
    return json.dumps({"kind": kind.name, **{param.field: param.example for param in kind.params}})


def _form() -> Iterator[str]:
    yield from _keys(KindForm)
    for key, form in _PARTS.items():
        of = " One entry for each parameter of the request." if key == "params" else ""
        yield from ("", f"### {_code(key)}", "", *([f"{' '.join((form.__doc__ or '').split())}{of}", ""]), *_keys(form))


def _keys(form: type[Section]) -> Iterable[str]:
    rows = [
        (_code(name), "required" if field.is_required() else "", " ".join((field.description or "See below.").split()))
        for name, field in form.model_fields.items()
    ]
    return _table(("key", "", "meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        line = f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
        yield re.sub(r"\|  (?=\|)", "| ", line)


def _code(text: str) -> str:
    return f"`{text}`"


def _codes(texts: Iterable[str]) -> str:
    return ", ".join(map(_code, texts))


def _main(arguments: Sequence[str]) -> None:
    for name in arguments:
        path = Path(name)
        path.write_text(updated_page(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
