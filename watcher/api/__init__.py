"""The HTTP API: health, readiness and metrics, served in the event loop of the service."""
