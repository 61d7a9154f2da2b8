"""Keeps who asks for the rows of which datasets, by day."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import Engine, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.gateway.adapters.catalog_tables import USAGE_DAILY

log = logging.getLogger(__name__)

Kind = Literal["queries", "exports"]


@dataclass(frozen=True, slots=True)
class User:
    """How much somebody has asked for."""

    principal: str
    name: str
    queries: int
    exports: int
    last_at: datetime


class Usage:
    """Counts. Safe to share between threads and gateways."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, datasets: Collection[str], principal: str, name: str, kind: Kind, at: datetime) -> None:
        """Somebody, by id and name, was answered out of these datasets. They have their answer, whether it is counted or not."""
        for dataset in sorted(datasets):
            key = {"dataset": dataset, "day": at.astimezone(UTC).date(), "principal": principal}
            try:
                if not self._count(key, name, kind, at):
                    self._begin(key, name, kind, at)
            except SQLAlchemyError:
                log.warning("a use of %s was not counted", dataset, exc_info=True)

    def _count(self, key: dict[str, object], name: str, kind: Kind, at: datetime) -> bool:
        table = USAGE_DAILY
        here = [table.c[column] == value for column, value in key.items()]
        counted = {kind: table.c[kind] + 1, "principal_name": name, "last_at": at}
        with self._engine.begin() as connection:
            return connection.execute(update(table).where(*here).values(counted)).rowcount > 0

    def _begin(self, key: dict[str, object], name: str, kind: Kind, at: datetime) -> None:
        row = {**key, "principal_name": name, "queries": 0, "exports": 0, "last_at": at, kind: 1}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(USAGE_DAILY).values(row))
        except IntegrityError:  # another gateway was quicker
            self._count(key, name, kind, at)

    def users(self, dataset: str, since: date) -> list[User]:
        """Who has used a dataset since then, the most diligent first."""
        table = USAGE_DAILY
        queries, exports = func.sum(table.c.queries), func.sum(table.c.exports)
        wanted = (
            select(table.c.principal, func.max(table.c.principal_name), queries, exports, func.max(table.c.last_at))
            .where(table.c.dataset == dataset, table.c.day >= since)
            .group_by(table.c.principal)
        )
        with self._engine.connect() as connection:
            found = [
                User(who, name, int(asked), int(taken), at)
                for who, name, asked, taken, at in connection.execute(wanted)
            ]
        return sorted(found, key=lambda user: (-user.queries - user.exports, user.name, user.principal))

    def days(self, dataset: str, since: date) -> list[tuple[date, int, int]]:
        """How many queries and exports there were on each day that had any."""
        table = USAGE_DAILY
        wanted = (
            select(table.c.day, func.sum(table.c.queries), func.sum(table.c.exports))
            .where(table.c.dataset == dataset, table.c.day >= since)
            .group_by(table.c.day)
            .order_by(table.c.day)
        )
        with self._engine.connect() as connection:
            return [(day, int(queries), int(exports)) for day, queries, exports in connection.execute(wanted)]
