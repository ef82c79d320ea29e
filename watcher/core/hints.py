"""What to do about a remote error, in a sentence. One table for the logs, for /readyz and for the commands."""

from __future__ import annotations

import errno

from watcher.errors import CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable

SKEW_S = 60.0
"""From this difference on it is the clock that is wrong; AWS itself refuses signatures from 300 s on."""


def hint(error: RemoteError, *, quota: str | None = None) -> str:
    """What would be right. `quota` is the one to raise when calls are throttled."""
    match error:
        case CredentialsRejected():
            return _credentials(error)
        case Denied():
            return "the credentials are good, a permission is missing: let this identity use it (config/deploy/iam)"
        case NotFound():
            return "nothing is there by this name: look at its name, its account, and AWS_REGION"
        case Throttled() if quota is not None:
            return f"the quota may be 0, as it is in a new account: raise «{quota}»"
        case Throttled():
            return "too many calls at the moment: try again"
        case Invalid() if error.code in errno.errorcode.values():
            return "look at the path"
        case Invalid():
            return "look at its name, its Region and its settings"
        case Unavailable():
            return "is it up, and within reach from here? Network, proxy, path, and the AWS_ENDPOINT_URL variables"
    return "something else than the service answered: look at the proxy and the AWS_ENDPOINT_URL variables"


def _credentials(error: CredentialsRejected) -> str:
    if error.clock_skew_s is not None and abs(error.clock_skew_s) >= SKEW_S:
        return f"this machine's clock is {-error.clock_skew_s:+.0f} s off: set it right"
    if error.code == "ValueError":
        return "the client cannot be made as AWS's variables say: look at AWS_ENDPOINT_URL and its like, which are URLs"
    if "Region" in error.code:
        return "say the Region: AWS_REGION=us-east-1, or region in the AWS profile"
    if error.expired:
        return "the session is over: sign in again, or renew the token"
    if "Profile" in error.code or "Config" in error.code:
        return "the AWS configuration cannot be used: look at AWS_PROFILE, and at the files it names a profile of"
    if error.code.startswith("No"):
        return "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name credentials; in a container its role does"
    return "these credentials are not accepted: look at AWS_PROFILE, the keys, and whether they were revoked"
