"""The HTTP side: health, readiness and metrics, served in the same event loop as the work."""
