"""Decisions about delivery: what an event looks like, and which event a sink gets next."""
