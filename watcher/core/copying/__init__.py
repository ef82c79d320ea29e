"""Decisions about copies of a store: what a store may receive, and whether two stores have the same content."""
