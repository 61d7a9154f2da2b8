"""Decides who a bearer token belongs to. Secrets are kept only as keyed hashes."""

import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy import Engine, delete, insert, select

from services.gateway.adapters.tables import TOKENS

ADMIN: Final = "admin"
_PREFIX: Final = "hr"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. Only the administrator manages tokens."""

    name: str
    is_admin: bool


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed: without its secret, which nobody keeps."""

    id: str
    name: str
    created_at: datetime


class TokenStore:
    """The tokens beside the administrator's own, which comes from the settings."""

    def __init__(self, engine: Engine, admin_token: SecretStr, key: bytes) -> None:
        self._engine = engine
        self._key = key
        self._admin_hash = self._hash(admin_token.get_secret_value())

    def caller(self, bearer: str) -> Caller | None:
        """Whose token this is; None when nobody's."""
        if hmac.compare_digest(self._hash(bearer), self._admin_hash):
            return Caller(ADMIN, is_admin=True)
        prefix, _, rest = bearer.partition("_")
        token_id = rest.partition("_")[0]
        if prefix != _PREFIX:
            return None
        with self._engine.connect() as connection:
            row = connection.execute(
                select(TOKENS.c.name, TOKENS.c.secret_hash).where(TOKENS.c.id == token_id)
            ).one_or_none()
        if row is None or not hmac.compare_digest(row.secret_hash, self._hash(bearer)):
            return None
        return Caller(row.name, is_admin=False)

    def create(self, name: str, at: datetime) -> tuple[Token, str]:
        """A new token and its secret of 256 random bits, which is never shown again."""
        token = Token(secrets.token_hex(8), name, at)
        bearer = f"{_PREFIX}_{token.id}_{secrets.token_urlsafe(32)}"
        row = {"id": token.id, "name": name, "created_at": at, "secret_hash": self._hash(bearer)}
        with self._engine.begin() as connection:
            connection.execute(insert(TOKENS).values(row))
        return token, bearer

    def all(self) -> list[Token]:
        """Every token, oldest first."""
        columns = (TOKENS.c.id, TOKENS.c.name, TOKENS.c.created_at)
        with self._engine.connect() as connection:
            return [Token(*row) for row in connection.execute(select(*columns).order_by(TOKENS.c.created_at))]

    def revoke(self, token_id: str) -> bool:
        """Make a token worthless. Returns whether there was one."""
        with self._engine.begin() as connection:
            return connection.execute(delete(TOKENS).where(TOKENS.c.id == token_id)).rowcount > 0

    def _hash(self, bearer: str) -> bytes:
        return hmac.digest(self._key, bearer.encode(), sha256)


def kept_key(path: Path) -> bytes:
    """The key in the file, which is made on first use and readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{secrets.token_hex(4)}")
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(32))
        with suppress(FileExistsError):  # another gateway may have been quicker: then its key counts
            path.hardlink_to(made)
        made.unlink()
    return path.read_bytes()
