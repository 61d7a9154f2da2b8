"""Reads which sources are paused from their projection in the database, folds the topic of wishes into it, and writes wishes."""

import uuid
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import Engine, delete, select

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.kafka.writer import write_one
from headrace.stream.wishes import Act, Wish
from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import SOURCE_PAUSES


class WishStore:
    """The projection of `_headrace.source-wishes`. The topic is the truth: ingest reads it, also when this gateway is gone."""

    def __init__(self, engine: Engine, connection: Connection, controls: Controls) -> None:
        self._engine = engine
        self._connection = connection
        self._controls = controls

    def pauses(self) -> dict[str, Wish]:
        """The pause of each source that is paused, by dataset; a release is one that says so."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(SOURCE_PAUSES)).mappings()
            return {row["dataset"]: Wish(act="pause", **row) for row in rows}

    def ask(self, dataset: str, act: Act, by: str, because: str = "") -> Wish:
        """Ask something of a source. Errors: Transient."""
        request = uuid.uuid4().hex if act == "run" else ""
        wish = Wish(dataset, act, datetime.now(UTC), by, because, request)
        value = self._controls.encode("source_wish", wish.record())
        write_one(self._connection, topics.SOURCE_WISHES, value, wish.key)
        return wish


def fold_wishes(connection: DatabaseConnection, wishes: Iterable[tuple[str, Wish | None]]) -> None:
    """Bring the projection up to these wishes, in order; None says that a wish is void."""
    for key, wish in wishes:
        dataset, _, matter = key.rpartition("/")
        if matter != "pause":
            continue
        if wish is not None and wish.act in ("pause", "release"):
            because = wish.because if wish.act == "pause" else f"released for good: {wish.because}"
            row = {name: asdict(wish)[name] for name in ("dataset", "at", "by")}
            put(connection, SOURCE_PAUSES, row | {"because": because})
        else:
            connection.execute(delete(SOURCE_PAUSES).where(SOURCE_PAUSES.c.dataset == dataset))
