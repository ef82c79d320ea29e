"""The error codes of single tasks in a reply about several: what each of them means for its task. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from watcher.adapters.aws.codes import KNOWN, MISSING
from watcher.adapters.aws.errors import classify
from watcher.adapters.aws.polled_call import LIKE_NOT_FOUND, NotFoundRules
from watcher.errors import Busy, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable

_CODE = re.compile(r"[A-Za-z][A-Za-z_.]{2,63}")
"""A code is copied into an error text only if it has this form: with digits it could be an identifier."""


def _letters(code: str) -> str:
    return re.sub(r"[^a-z]", "", code.lower().removesuffix("exception"))


_KNOWN_BY_LETTERS: Mapping[str, str] = {_letters(code): code for code in sorted(KNOWN)}
"""The known codes without case, underscores, and the ending of an exception."""


class UnknownFailure(Unreadable):
    """A reply lists a task as failed, and does not say why in a known way."""


def failed_task(code: str, not_found: NotFoundRules) -> RemoteError:
    """Return the error of a task that a reply lists as failed with this code. An unknown code ends no watch.

    The codes have several forms: `InternalFailure`, `INTERNAL_FAILURE`. A rule of the kind with a pattern does not apply,
    since there is no message.
    """
    if code in MISSING or (code in not_found and not_found[code] is None) or LIKE_NOT_FOUND.search(code):
        return NotFound(code if _CODE.fullmatch(code) else "no_task", "the reply lists the task as failed")
    named = classify(_KNOWN_BY_LETTERS.get(_letters(code), code), 400)
    if isinstance(named, Busy | Denied | NotFound | Throttled | Unavailable):
        return named
    return UnknownFailure(code if _CODE.fullmatch(code) else "failure", "the reply lists the task as failed, with a code that is not known")
