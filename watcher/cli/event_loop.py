"""The event loop that the commands run on."""

from __future__ import annotations


def loop_options() -> dict[str, bool]:
    """Return the options for `anyio.run`: uvloop where it is installed, which is the same loop, but faster."""
    try:
        import uvloop  # noqa: F401 - only whether it can be imported: it is an extra
    except ImportError:
        return {}
    return {"use_uvloop": True}
