"""Watches remote tasks by polling and delivers an event for every status change: at least once, in order per task, with stable ids."""

__version__ = "0.1.0"
