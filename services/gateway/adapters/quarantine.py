"""Reads the rows that were set aside, from the table the loader keeps them in.

Source: docs/decisions/0006-quarantine-is-read-from-the-warehouse.md. Dataset names are checked before they get here, and
values travel as parameters, so that no statement below is made of foreign text.
"""
# ruff: noqa: S608

import json
from dataclasses import dataclass
from typing import Any, Final

from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.json_values import json_value

_MOST_CLUSTERS: Final = 1000
_PLAIN: Final = (
    "dataset",
    "generation",
    "version",
    "stage",
    "reason",
    "detail",
    "rule",
    "column",
    "topic",
    "partition",
)
_PLACE: Final = ("offset", "raw_offset", "seq", "schema_id", "fields", "source", "quarantined_at")
_COLUMNS: Final = ", ".join([f"`{name}`" for name in (*_PLAIN, *_PLACE)] + ["base64Encode(value) AS value"])
_CAUSE: Final = "`stage`, `reason`, `rule`, `column`"
_ID: Final = "concat(toString(_load_partition), '-', toString(_load_offset)) AS id"


@dataclass(frozen=True, slots=True)
class SetAside:
    """The quarantined rows of a dataset: all of them by cause, and some of them in full."""

    total: int
    clusters: list[dict[str, Any]]
    items: list[dict[str, Any]]


class Quarantine:
    """The quarantine tables of the warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def find(self, dataset: str, reason: str | None, limit: int) -> SetAside:
        """The rows of a dataset, of one reason if given; newest first. Errors: Transient."""
        where = "" if reason is None else "WHERE reason = {reason:String}"
        chosen = {} if reason is None else {"reason": reason}
        table = _table(dataset)
        clusters = self._records(
            f"SELECT {_CAUSE}, count() AS rows FROM {table} {where} "
            f"GROUP BY {_CAUSE} ORDER BY rows DESC, {_CAUSE} LIMIT {_MOST_CLUSTERS}",
            _MOST_CLUSTERS,
            chosen,
        )
        if not clusters:
            return SetAside(0, [], [])
        total = self._records(f"SELECT count() AS rows FROM {table} {where}", 1, chosen)[0]["rows"]
        items = self._records(
            f"SELECT {_ID}, {_COLUMNS} FROM {table} {where} "
            f"ORDER BY quarantined_at DESC, _load_partition, _load_offset LIMIT {limit}",
            limit,
            chosen,
        )
        return SetAside(total, clusters, [_with_fields(item) for item in items])

    def get(self, dataset: str, partition: int, offset: int) -> dict[str, Any] | None:
        """One row, by its place in the quarantine topic. Errors: Transient."""
        found = self._records(
            f"SELECT {_ID}, {_COLUMNS} FROM {_table(dataset)} "
            "WHERE _load_partition = {partition:Int32} AND _load_offset = {offset:Int64} LIMIT 1",
            1,
            {"partition": partition, "offset": offset},
        )
        return _with_fields(found[0]) if found else None

    def _records(self, sql: str, limit: int, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            return self._warehouse.query(sql, limit, parameters).records()
        except QueryError as error:
            if error.no_table:  # the loader makes the table when the first row is set aside
                return []
            raise


def _table(dataset: str) -> str:
    domain, _, name = dataset.partition(".")
    return f"`{domain}`.`{name}__quarantine`"


def _with_fields(item: dict[str, Any]) -> dict[str, Any]:
    """The decoded record as an object, not as text."""
    return item | {"fields": json_value(json.loads(item["fields"])) if item["fields"] else None}
