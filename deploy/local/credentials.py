"""Which passwords the stack uses: made once at random, kept in a file that only its owner can read."""

import base64
import json
import os
import secrets
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel, ConfigDict, SecretStr

WRITER, READER = "headrace", "reader"
"""The warehouse's two users."""

_FILE = "secrets.json"
_KEYS = "master.keys"


class Credentials(BaseModel):
    """The stack's secrets. `token_key` is what tokens are hashed with, `push_token` what HTTP push asks for."""

    model_config = ConfigDict(frozen=True)

    warehouse_password: SecretStr
    warehouse_reader_password: SecretStr
    admin_token: SecretStr
    token_key: SecretStr
    push_token: SecretStr


def read(home: Path) -> Credentials | None:
    """The secrets of the stack in this data folder, or None if it was never started."""
    known = _known(home)
    return Credentials.model_validate(known) if Credentials.model_fields.keys() <= known.keys() else None


def ensure(home: Path) -> Credentials:
    """The secrets of the stack in this data folder, made now if there are none."""
    known = _known(home)
    _ensure_master_key(home)
    made = {name: known.get(name) or secrets.token_urlsafe(32) for name in Credentials.model_fields}
    if made != known:
        _write(home, _FILE, json.dumps(made, indent=2))
    return Credentials.model_validate(made)


def master_keys(home: Path) -> Path:
    """The file of the master keys that secrets are sealed under; whoever loses it loses them."""
    return home / _KEYS


def _ensure_master_key(home: Path) -> None:
    """A first key, unless there is a file. A key is added and taken away by a person: see docs/secrets.md."""
    if not master_keys(home).exists():
        key = secrets.token_bytes(32)
        line = f"{sha256(key).hexdigest()[:8]}: {base64.b64encode(key).decode()}"
        _write(home, _KEYS, f"# id: key, the current one first. Whoever loses these loses the secrets.\n{line}\n")


def _known(home: Path) -> dict[str, str]:
    file = home / _FILE
    return dict(json.loads(file.read_bytes())) if file.exists() else {}


def _write(home: Path, name: str, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f"{name}.partial"
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.rename(home / name)
