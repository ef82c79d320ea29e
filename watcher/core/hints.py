"""What is wrong with a remote call, and what to do about it, in one sentence: the same for the logs, /readyz, and the commands."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from watcher.errors import BatchFailed, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable, Unreadable

SKEW_S = 60.0
"""The difference of clocks, in seconds, from which the hint is to correct the clock. AWS rejects signatures from 300 s on."""

_PERMISSION = "check the permissions of the file and of its directory"
_SPACE = "the disk or the quota of this user is full: free space on it"
_OF_THIS_MACHINE: Mapping[str, str] = {
    "stdout_closed": "stdout is closed: restart the watcher with stdout open, or set the path of this sink to a file",
    "ENOSPC": _SPACE,
    "EDQUOT": _SPACE,
    "EFBIG": "the file has the largest size that is allowed: move it away, or raise the limit",
    "EACCES": _PERMISSION,
    "EPERM": _PERMISSION,
    "EROFS": "the file system is mounted read-only: mount it writable, or set another path",
    "ENOENT": "check the path: the file or its directory does not exist",
    "ENXIO": "the named pipe has no reader: start the program that reads it",
    "EIO": "the disk or the terminal failed: check it",
    "EMFILE": "the process has too many open files: raise the limit (ulimit -n)",
    "ENFILE": "this machine has too many open files: end programs, or raise the limit",
    "EADDRINUSE": "stop the process that uses the address, or choose another api.listen",
    "EADDRNOTAVAIL": "this machine does not have the address: choose another api.listen",
}
"""By the code of an error: of files, and of the system. No service is involved, whatever the class of the error is."""


_OF_THE_KIND = frozenset({"no_task", "no_tasks", "other_task", "status", "result", "timestamp", "message", "failure"})
"""The codes of a reply in which a path of the kind does not find what it should."""
_UNREADABLE_FILES = ("FileNotFoundError", "PermissionError", "IsADirectoryError", "NotADirectoryError")
_DEFECT = "report it, with the traceback in the log"
_IN_WORDS: Mapping[str, str] = {
    "defect": "the code of the watcher failed",
    "invalid_url": "an endpoint or a proxy is not a URL",
    "not_http": "the answer is not HTTP",
    "not_sent": "the request could not be made",
    "unparsable": "the reply cannot be parsed",
    "no_task": "the reply has no task",
    "no_tasks": "the reply has no list of tasks",
    "other_task": "the reply is about another task",
    "two_answers": "the reply has two different answers about a task",
    "unnamed_task": "the reply has a task without an id",
    "status": "the reply has no readable status",
    "result": "the result in the reply cannot be used",
    "timestamp": "the reply has a time that is not a point in time",
    "message": "the message in the reply is not a string",
    "failure": "the reply lists the task with an unknown error",
    "no_operation": "the SDK has no such operation",
    "not_json": "the reply is not JSON",
    "shape": "the reply has a message without an id, a receipt, or a body",
    "no_outcome": "the reply has no result for an entry",
    **dict.fromkeys(_UNREADABLE_FILES, "a file that the AWS configuration names cannot be read"),
}
"""By code: those of ours that are too short to say what is wrong. Those of AWS and of its SDK can be looked up as they are."""
_FOREIGN = "something other than the service answered: check the proxy and the AWS_ENDPOINT_URL variables"


def hint(error: RemoteError, *, quota: str | None = None, kind: str | None = None) -> str:
    """What to check or change. `quota` is the name of the quota to raise when calls are throttled. `kind` is the name of the kind of
    a call about tasks, if a configuration declares it."""
    match error:
        case RemoteError() if error.code == "defect":
            return _DEFECT
        case RemoteError() if error.code in _OF_THIS_MACHINE:
            return _OF_THIS_MACHINE[error.code]
        case BatchFailed():
            return hint(error.cause, quota=quota, kind=kind)
        case CredentialsRejected():
            return _credentials(error)
        case Denied():
            return "the credentials are valid, but a permission is missing: grant it to this identity (config/deploy/iam)"
        case NotFound():
            return "there is no such resource: check its name, its account, and AWS_REGION"
        case Throttled() if quota is not None:
            return f'the quota may be 0, as in a new account: raise "{quota}"'
        case Throttled():
            return "too many calls at the moment: try again later"
        case Invalid() if error.code in errno.errorcode.values():
            return "check the path"
        case Invalid():
            return "check its name, its Region, and its settings"
        case Unavailable() if error.code == "SSLError":
            return "the certificate of the service, or of a proxy in between, is not trusted: set AWS_CA_BUNDLE to a file with its issuer"
        case Unreadable() if error.code == "407":
            return "a proxy asks for credentials: add them to the URL in HTTPS_PROXY or HTTP_PROXY, or add the service to NO_PROXY"
        case Unreadable(unsent=True):
            return "the installed AWS SDK does not have this service or operation: run watcher config check, or install a newer version"
        case Unreadable() if kind is not None and error.code in _OF_THE_KIND:
            return f"the reply does not have what the kind {kind} says: run watcher config check; if it finds no mistake, {_FOREIGN}"
        case Unavailable() if error.code.isdecimal():
            return "it can be reached, but answers with an error: check its log, and any load balancer or proxy in between"
        case Unavailable():
            return "check that it is running and reachable: network, proxy, path, and the AWS_ENDPOINT_URL variables"
    return _FOREIGN


def in_words(code: str) -> str:
    """The code of an error for a person: `unparsable, the reply cannot be parsed`."""
    return f"{code}, {_IN_WORDS[code]}" if code in _IN_WORDS else code


def _credentials(error: CredentialsRejected) -> str:
    if error.clock_skew_s is not None and abs(error.clock_skew_s) >= SKEW_S:
        return f"the clock of this machine is {-error.clock_skew_s:+.0f} s off: correct it"
    if error.code == "invalid_url":
        return "the AWS client cannot be created: check that AWS_ENDPOINT_URL, HTTPS_PROXY, and similar variables are URLs"
    if error.code == "not_sent":
        return f"the request could not be made: check AWS_ENDPOINT_URL, HTTPS_PROXY, and the AWS configuration files; or {_DEFECT}"
    if error.code == "IllegalCharacter":
        return "a key or token has a space, a line break, or another illegal character: check how it was copied or stored"
    if error.code in ("CertificateFile", *_UNREADABLE_FILES):
        return "a file cannot be used: check AWS_CA_BUNDLE, AWS_WEB_IDENTITY_TOKEN_FILE, and the files that the AWS profile names"
    if error.code == "CredentialRetrievalError":
        return "the source of the credentials failed or did not answer in time: check credential_process and its output"
    if error.code == "InvalidRegionError":
        return "this is not the name of a Region: correct AWS_REGION, or region in the AWS profile; an example is us-east-1"
    if "Region" in error.code:
        return "set the Region: AWS_REGION=us-east-1, or region in the AWS profile"
    if error.code == "UnknownTarget":
        return "add this target to targets in the configuration again; until then, its watches are kept and not polled"
    if error.code in ("AccessDenied", "AccessDeniedException"):
        return "the role cannot be assumed: check its ARN, its trust policy with the external id, and the permission sts:AssumeRole"
    if error.expired:
        return "the session has expired: sign in again, or renew the token"
    if "Profile" in error.code or "Config" in error.code:
        return "the AWS configuration cannot be used: check AWS_PROFILE and the AWS configuration files"
    if error.code == "PartialCredentialsError":
        return "a part of the credentials is missing: set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or both in the AWS profile"
    if error.code.startswith("No"):
        return "no credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the container a role"
    return "these credentials are not accepted: check AWS_PROFILE, the keys, and whether they were revoked"
