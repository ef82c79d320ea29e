"""The page for operators: static files, which request `GET /v1/overview`, `GET /v1/events`, and `GET /v1/tasks` in the browser."""
