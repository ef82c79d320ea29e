"""Watches remote tasks by polling and tells the world, once and in order, whenever one changes status."""

__version__ = "0.1.0"
