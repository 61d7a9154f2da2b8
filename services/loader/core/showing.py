"""Decides which loader may say what a view shows, and how it says so without another putting an older view back.

ClickHouse has no `CREATE OR REPLACE VIEW ... IF`. So a view is made aside, under a name that bears the number of the record by
which its table is live, and then changes places with the one that shows. Who knows a newer record says so first (a claim), and
drops what was made aside by older ones: what they send later finds nothing to change places with.
"""

import re
import secrets
from collections.abc import Iterable
from typing import Final

from headrace.errors import Transient
from services.loader.core.table import Table
from services.loader.core.types import literal, quoted

CLAIMS: Final = "`headrace`.`shown`"
CREATE_CLAIMS: Final = (
    f"CREATE TABLE IF NOT EXISTS {CLAIMS} "
    "(`view` String, promotion UInt64, claimed_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
    "ENGINE = MergeTree ORDER BY (`view`, promotion) "
    "COMMENT 'Which record made the table live that a view may show: the one with the greatest number.'"
)
#: A view that was made aside this long ago belongs to a loader that is gone.
_FORGOTTEN: Final = "metadata_modification_time < now() - toIntervalHour(1)"


class OutrankedError(Transient):
    """A loader that knows a newer record has said what the view shows. Transient: this one hears of that record, too."""


def aside_of(table: Table) -> str:
    """A name for a view that is made aside, not used before."""
    return f"{table.view}__v{table.promotion}_{secrets.token_hex(6)}"


def outdated(table: Table, asides: Iterable[str]) -> list[str]:
    """Of the views made aside, those of older records."""
    numbers = {name: re.fullmatch(rf"{re.escape(str(table.view))}__v(\d+)_[0-9a-f]{{12}}", name) for name in asides}
    return [name for name, found in numbers.items() if found and int(found[1]) < table.promotion]


def newest_claim(table: Table) -> str:
    """The query for the greatest number that was claimed; 0 without any."""
    return f"SELECT max(promotion) FROM {CLAIMS} WHERE `view` = {literal(_id(table))}"  # noqa: S608


def insert_claim(table: Table) -> str:
    """The statement that claims the view for the record by which the table is live."""
    return f"INSERT INTO {CLAIMS} (`view`, promotion) VALUES ({literal(_id(table))}, {table.promotion})"  # noqa: S608


def made_aside(table: Table, *, forgotten: bool = False) -> str:
    """The query for the views that were made aside; with `forgotten`, for those that nobody will take up any more."""
    where = f"database = {literal(table.database)} AND startsWith(name, {literal(f'{table.view}__v')})"
    return f"SELECT name FROM system.tables WHERE {where}{f' AND {_FORGOTTEN}' if forgotten else ''}"  # noqa: S608


def swap(table: Table, aside: str, *, first: bool) -> str:
    """The statement that shows what was made aside, in place of what shows, or as the `first`."""
    this, that = (f"{quoted(table.database)}.{quoted(name)}" for name in (aside, table.view or table.name))
    return f"RENAME TABLE {this} TO {that}" if first else f"EXCHANGE TABLES {this} AND {that}"


def drop_view(table: Table, name: str) -> str:
    """The statement that drops a view, if it is there."""
    return f"DROP VIEW IF EXISTS {quoted(table.database)}.{quoted(name)}"


def _id(table: Table) -> str:
    return f"{table.database}.{table.view}"
