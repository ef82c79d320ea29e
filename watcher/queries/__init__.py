"""What the store contains about tasks, events and dead letters, as data with a JSON form: for the commands and the API.

Reads go through the store port, settings come as arguments. This package must not print, and must not know the
configuration file, an adapter or the runtime.
"""
