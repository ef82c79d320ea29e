"""The page of the operator: static files, which read `GET /v1/overview`, `GET /v1/events`, and `GET /v1/tasks` in the browser."""
