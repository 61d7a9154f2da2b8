"""Which passwords the stack uses: made once at random, kept in a file that only its owner can read."""

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

WRITER, READER = "headrace", "reader"
"""The warehouse's two users."""


class Credentials(BaseModel):
    """The stack's secrets. `token_key` is what the gateway hashes tokens with."""

    model_config = ConfigDict(frozen=True)

    warehouse_password: SecretStr
    warehouse_reader_password: SecretStr
    admin_token: SecretStr
    token_key: SecretStr


def read(home: Path) -> Credentials | None:
    """The secrets of the stack in this data folder, or None if it was never started."""
    file = home / "secrets.json"
    return Credentials.model_validate_json(file.read_bytes()) if file.exists() else None


def ensure(home: Path) -> Credentials:
    """The secrets of the stack in this data folder, made now if there are none."""
    if (known := read(home)) is not None:
        return known
    made = {name: secrets.token_urlsafe(32) for name in Credentials.model_fields}
    home.mkdir(parents=True, exist_ok=True)
    partial = home / "secrets.json.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(made, file, indent=2)
    partial.rename(home / "secrets.json")
    return Credentials.model_validate(made)
