"""Agents that have no node of their own, and serve their state over HTTP: `{name, base_url, token}`.

`GET /state` answers with a state as JSON, `GET /health` with anything, `GET /events` with a stream of states where
there is one, `POST /auth/session` with a session for the token where tokens are exchanged. docs/discovery.md has more.
"""

RUNTIME = "http"
"""Of an agent that does not say what it runs on."""
