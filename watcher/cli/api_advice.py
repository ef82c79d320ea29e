"""What to do about a request to the HTTP API that failed: one sentence for each reason of an ApiError."""

from __future__ import annotations

from watcher.errors import ApiError

ADVICE = {
    "unreachable": "Check --url, that the watcher runs, and that its api.listen has this port on an address that this machine can reach",
    "tls": "Check --url: http:// or https://, and the name of the host; for a certificate of your own, set SSL_CERT_FILE to its issuer",
    "unauthorized": "Name the file with a token of api.tokens with --token-file, or WATCHER_TOKEN_FILE; this one is missing, wrong, or old",
    "forbidden": "Name the file with a token that may do this with --token-file, or WATCHER_TOKEN_FILE",
    "not_found": "Check the id",
    "gone": (
        "The events after this cursor are erased, or it belongs to another store: start again with --after start (all stored events, "
        "of which you have seen some) or --after now, and with no or a new --cursor-file"
    ),
    "rejected": "Correct what the message says",
    "busy": "Try again later",
    "failed": "See the log of the watcher, or of the proxy in front of it",
    "redirect": "The token is not sent there: if you trust this host, give its URL as --url",
    "foreign": "Something other than a watcher with this API answered: check --url, the proxy, and the version of the watcher",
}


def advice(error: ApiError) -> str:
    """Return what to check or change, as a sentence."""
    if error.reason == "busy" and error.retry_after is not None:
        return f"Try again in {error.retry_after:.0f} s."
    return f"{ADVICE[error.reason]}."
