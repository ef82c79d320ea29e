"""Decisions about polling: which call goes next, how fast, and what its answer means."""
