"""The certificates that this process trusts: which environment variables name them, and whether they can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

FOR_AWS = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
"""The first one that is set names a file of certificates for calls to AWS."""
FOR_WEBHOOKS = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The first one that is not empty names a file or a directory of certificates for webhooks."""


def aws_mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the certificates for calls to AWS.

    An empty value is a mistake: with it, the AWS SDK would verify no certificate.
    """
    name = next((name for name in FOR_AWS if name in environ), None)
    if name is not None:
        what = _file_problem(environ[name]) if environ[name] else "is empty; unset it, or name a file of certificates in PEM format"
        if what:
            yield f"environment: {name}: {what}"


def webhook_mistakes(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the certificates for webhooks."""
    name = next((name for name in FOR_WEBHOOKS if environ.get(name)), None)
    if name is not None:
        what = _file_problem(environ[name]) if name == "SSL_CERT_FILE" else _directory_problem(environ[name])
        if what:
            yield f"environment: {name}: {what}"


def _file_problem(path: str) -> str | None:
    import ssl  # here, because it takes a tenth of the time of a short command, which reads no certificate

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return f"{path} contains no certificate in PEM format; name another file, or unset the variable"
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or "not a path"
        return f"{path} cannot be read ({what}); name a file of certificates in PEM format, or unset the variable"
    return None


def _directory_problem(path: str) -> str | None:
    return None if Path(path).is_dir() else f"{path} is not a directory; name a directory of certificates, or unset the variable"
