"""Decisions. Pure: no asyncio, no clock, no randomness, no I/O. Time is an argument; the answer carries its reason."""
