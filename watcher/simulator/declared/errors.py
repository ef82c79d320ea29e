"""The error codes with which the services of AWS say what the voice service says with its own codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from watcher.errors import Unreadable
from watcher.kinds.kind import Kind
from watcher.simulator.declared.models import ApiModel, Operation
from watcher.simulator.declared.protocols.replies import is_json
from watcher.simulator.faults import BUSY, FAULTS, NOT_FOUND, THROTTLED, ServiceError

Code = tuple[str, int]
"""An error code and the HTTP status of its reply."""

_COMMON: Mapping[str, Mapping[str, Code]] = {
    "json": {
        "ThrottledClientException": ("ThrottlingException", 400),
        "BadRequestException": ("ValidationException", 400),
        "AccessDeniedException": ("AccessDeniedException", 400),
        "UnauthorizedClientException": ("UnrecognizedClientException", 400),
        "UnrecognizedClientException": ("UnrecognizedClientException", 400),
        "ExpiredTokenException": ("ExpiredTokenException", 400),
        "UnknownOperationException": ("UnknownOperationException", 400),
        "NotFoundException": ("ResourceNotFoundException", 400),
    },
    "rest-json": {
        "ThrottledClientException": ("ThrottlingException", 429),
        "BadRequestException": ("ValidationException", 400),
        "UnauthorizedClientException": ("UnrecognizedClientException", 403),
        "NotFoundException": ("ResourceNotFoundException", 404),
    },
    "query": {
        "ThrottledClientException": ("Throttling", 400),
        "BadRequestException": ("ValidationError", 400),
        "AccessDeniedException": ("AccessDenied", 403),
        "UnauthorizedClientException": ("InvalidClientTokenId", 403),
        "UnrecognizedClientException": ("InvalidClientTokenId", 403),
        "ExpiredTokenException": ("ExpiredToken", 403),
        "UnknownOperationException": ("InvalidAction", 400),
        "NotFoundException": ("ResourceNotFound", 404),
        "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
        "IncompleteSignatureException": ("IncompleteSignature", 400),
        "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    },
    "ec2": {
        "ThrottledClientException": ("RequestLimitExceeded", 503),
        "ThrottlingException": ("RequestLimitExceeded", 503),
        "BadRequestException": ("InvalidParameterValue", 400),
        "AccessDeniedException": ("UnauthorizedOperation", 403),
        "UnauthorizedClientException": ("AuthFailure", 401),
        "UnrecognizedClientException": ("AuthFailure", 401),
        "InvalidSignatureException": ("AuthFailure", 401),
        "ExpiredTokenException": ("RequestExpired", 400),
    },
}
"""By protocol, what each code of the voice service becomes. A code that is not here stays as it is, with its status."""

_ALL_PROTOCOLS: Mapping[str, Code] = {
    "ServiceFailureException": ("InternalFailure", 500),
    "ServiceUnavailableException": ("ServiceUnavailable", 503),
}

_NAMES = {
    THROTTLED.code: re.compile("^(?:Throttl|TooManyRequests)"),
    FAULTS["throttling"].code: re.compile("^(?:Throttl|TooManyRequests)"),
    BUSY.code: re.compile("conflict", re.IGNORECASE),
    NOT_FOUND.code: re.compile("NotFound|DoesNotExist|NoSuch"),
}
"""How the errors are named that a service documents for these."""


def error_of(api: ApiModel, error: ServiceError) -> ServiceError:
    """Return an error with the code that the service uses for it, as far as all operations of the service have it."""
    family = "query" if api.protocol == "rest-xml" else api.protocol
    codes = {**_ALL_PROTOCOLS, **(_COMMON["query"] if family == "ec2" else {}), **_COMMON[family]}
    code, status = codes.get(error.code, (error.code, error.status))
    return replace(error, code=code, status=status)


def error_about(operation: Operation, kind: Kind, error: ServiceError, task_id: str) -> ServiceError:
    """Return an error with the code that the operation documents for it; for a missing task the one that the kind declares."""
    if error.code == NOT_FOUND.code:
        for code, pattern in kind.not_found.items():
            meaning = error.meaning if pattern is None else text_with(pattern, task_id)
            return replace(error, code=code, status=_status(operation, code, error.status), meaning=meaning)
    name = _NAMES.get(error.code)
    documented = next((shape.error_code for shape in operation.errors if name and name.search(shape.name)), None)
    if documented is not None:
        return replace(error, code=documented, status=_status(operation, documented, error.status))
    own = error_of(operation.api, error)
    if error.code == BUSY.code and is_json(operation.api) and BUSY.code not in {shape.error_code for shape in operation.api.errors}:
        return replace(own, raises=Unreadable)  # these services document all their codes, so a client cannot tell what this one means
    return own


def failure_code(operation: Operation, kind: Kind) -> str:
    """Return the code of a missing task in a reply about several tasks: one that the kind declares, and no error of a whole call has."""
    of_calls = {shape.error_code for shape in operation.errors}
    declared = [code for code, pattern in kind.not_found.items() if pattern is None and code not in of_calls]
    return declared[0] if declared else "NotFound"


def _status(operation: Operation, code: str, default: int) -> int:
    """The HTTP status that the API model has for a code. Only the REST protocols use other client errors than 400 without saying so."""
    for shape in operation.errors:
        if shape.error_code == code and "httpStatusCode" in shape.metadata.get("error", {}):
            return int(shape.metadata["error"]["httpStatusCode"])
    return default if operation.api.protocol.startswith("rest") else 400


def text_with(pattern: re.Pattern[str], task_id: str) -> str:
    """Return the text of an error in which a pattern is found, as a service writes it about a missing task."""
    return next((text for text in _texts(pattern, task_id) if pattern.search(text)), pattern.pattern)


def _texts(pattern: re.Pattern[str], task_id: str) -> Iterator[str]:
    yield f"{task_id} does not exist"
    yield f"{task_id} was not found"
    yield f"{task_id} could not be found"
    alternative = re.sub(r"\(\?[a-z]+\)", "", pattern.pattern).split("|")[0]
    filled = re.sub(r"(?:\\S|\\w|\.|\[[^\]]*\])[*+]\??", lambda _: task_id, alternative)
    yield re.sub(r"\\(.)", r"\1", re.sub(r"(?<!\\)[\^$()?]", "", filled))
