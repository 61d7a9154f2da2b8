"""Reads which secrets there are from their projection in the database, and folds their topic into it, without any value."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, select

from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import SECRETS
from services.gateway.core.secrets import SecretEntry


class SecretStore:
    """The projection of `_headrace.secrets`. The topic is the truth, and the only place where the sealed values are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, SecretEntry]:
        """Every secret, by name, in the order of names."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(SECRETS).order_by(SECRETS.c.name)).mappings()
            return {row["name"]: SecretEntry(**row) for row in rows}


def fold_secrets(connection: Connection, entries: Iterable[tuple[str, SecretEntry | None]]) -> None:
    """Bring the projection up to these entries, in order; None says that the secret is gone."""
    for name, entry in entries:
        if entry is None:
            connection.execute(delete(SECRETS).where(SECRETS.c.name == name))
        else:
            put(connection, SECRETS, asdict(entry))
