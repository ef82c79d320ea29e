"""Sinks: the destinations of events, one module for each."""
