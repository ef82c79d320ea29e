"""Decisions about input: what a message names, and which messages may be acknowledged."""
