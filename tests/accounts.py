"""Accounts for tests that talk to a whole gateway: as an administrator makes them."""

import uuid
from typing import Any

from fastapi.testclient import TestClient


def token_of(client: TestClient, role: str | None, scope: str = "*", **grant: Any) -> str:
    """The token of a new service account with this role, or with none. `client` is an administrator's; paths are absolute."""
    name = f"test {uuid.uuid4().hex[:8]}"
    _made(client.post("/api/v1/users", json={"name": name, "kind": "service"}))
    if role is not None:
        _made(client.post("/api/v1/grants", json={"to": f"user:{name}", "role": role, "scope": scope, **grant}))
    actions = ["see", "query", "export", "edit", "operate", "admin"]
    token: str = _made(client.post("/api/v1/tokens", json={"name": name, "owner": name, "actions": actions}))["token"]
    return token


def _made(response: Any) -> dict[str, Any]:
    assert response.is_success, response.text
    body: dict[str, Any] = response.json()
    return body
