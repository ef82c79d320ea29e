"""Advice for a failed request to the HTTP API: one sentence for each reason of an ApiError."""

from __future__ import annotations

from watcher.errors import ApiError

ADVICE = {
    "unreachable": "Check --url, that the watcher runs, and that its api.listen has this port on an address that this machine can reach",
    "tls": "Check --url: http:// or https://, and the name of the host; for a private authority, set SSL_CERT_FILE to its certificate",
    "unauthorized": "Set --token-file, or WATCHER_TOKEN_FILE, to a file with a token of api.tokens; this one is missing or not valid",
    "forbidden": "Set --token-file, or WATCHER_TOKEN_FILE, to a file with a token that has the role for this command",
    "not_found": "Check the id",
    "gone": (
        "Events after this cursor may be erased, or it belongs to another store: start again with --after start (all stored events, "
        "including some that you have already received) or --after now, and without --cursor-file or with a new one"
    ),
    "rejected": "Correct what the message names",
    "busy": "Try again later",
    "failed": "See the log of the watcher, or of the proxy in front of it",
    "redirect": "The command does not follow redirects, so that no other host gets the token: if you trust this host, use its URL as --url",
    "foreign": "The reply is not from a watcher with this API: check --url, the proxy, and the version of the watcher",
}


def advice(error: ApiError) -> str:
    """Return what to check or change, as a sentence."""
    if error.reason == "busy" and error.retry_after is not None:
        return f"Try again in {error.retry_after:.0f} s."
    return f"{ADVICE[error.reason]}."
