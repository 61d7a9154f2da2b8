"""A table under a policy, and beside it a copy that has only what somebody may see, in ClickHouse in this process."""

from dataclasses import replace
from typing import Any, Final

import chdb

from headrace.access.policy import Sight
from services.gateway.core.readable import Readable

Row = tuple[int, str, str | None, int, str | None]

#: Hidden rows have what expressions fail on (a name that is no number, a zero): to compute anything of one is to tell of it.
ROWS: Final[list[Row]] = [
    (1, "a", "11", 5, "x"),
    (2, "a", "12", 6, None),
    (3, "b", "secret", 0, "y"),
    (4, "a", "13", 7, "z"),
    (5, "c", "hidden", 0, "x"),
    (6, "a", "11", 5, "y"),
]
COLUMNS: Final = ("id", "tenant", "name", "n", "note")
#: Rows of tenant a; names in those with an id under 4 alone, notes in none.
SIGHT: Final = Sight(
    rows=("(tenant = 'a')",), masked={"name": ("(id < 4)",), "note": ()}, listed=frozenset(COLUMNS), others="all"
)
SEEN: Final[list[Row]] = [(id_, t, name if id_ < 4 else None, n, None) for id_, t, name, n, _ in ROWS if t == "a"]
OWN: Final = {
    "nyc.flights": Readable(SIGHT, beside=False, columns=COLUMNS),
    "nyc.planes": Readable(replace(SIGHT, rows=("(tenant = 'a')",), masked={}), beside=False, columns=COLUMNS),
    "nyc.open": Readable(Sight(), beside=False),
}

Answer = tuple[str, Any]


class Engine:
    """ClickHouse in this process: `nyc` as it is, `seen` with nothing but what somebody may see of it."""

    def __init__(self) -> None:
        self.session = chdb.connect(":memory:")
        self.session.query("SET use_query_condition_cache = 0")
        for database in ("nyc", "seen"):
            self.session.query(f"CREATE DATABASE IF NOT EXISTS {database}")
        seen: dict[str, list[Row]] = {
            "flights": SEEN,
            "planes": [row for row in ROWS if row[1] == "a"],
            "open": ROWS[:1],
        }
        whole: dict[str, list[Row]] = {"flights": ROWS, "planes": ROWS, "open": ROWS[:1]}
        for database, every in (("nyc", whole), ("seen", seen)):
            for table, rows in every.items():
                kept, masked = f"{database}.{table}__g1", (database, table) == ("seen", "flights")
                text = "Nullable(String)" if masked else "String"
                shape = f"id Int64, tenant String, name {text}, n Int64, note Nullable(String)"
                self.session.query(f"CREATE OR REPLACE TABLE {kept} ({shape}) ENGINE = MergeTree ORDER BY id")
                values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
                self.session.query(f"INSERT INTO {kept} VALUES {values}")
                self.session.query(f"CREATE OR REPLACE VIEW {database}.{table} AS SELECT * FROM {kept}")

    def gives(self, sql: str) -> Answer:
        """The rows of a query, in some order; or the number of the error."""
        try:
            found = str(self.session.query(sql, "TSV"))
        except Exception as error:
            return "error", str(error).partition("Code: ")[2].partition(".")[0]
        return "rows", sorted(found.splitlines())


def _literal(value: object) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"
