"""Sends thousands of requests, made by schemathesis from the OpenAPI document, to a real watcher: `make api-check`."""
