"""Reads rows of a dataset's table in the warehouse, by a condition or by the raw record they were made of.

Dataset names are checked before they get here, coordinates are numbers, and conditions are guarded, so that no statement below
is made of foreign text.
"""
# ruff: noqa: S608

from collections.abc import Sequence
from typing import Any, Final

from headrace.sql_guard import guarded, guarded_condition
from headrace.stream import columns
from headrace.stream.generation_table import table_name
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.passport import Place

_MOST_SIBLINGS: Final = 1000
_MOST_MATCHING: Final = 1000
_NO_COLUMN: Final = 47
_IDENTITY: Final = ", ".join(columns.IDENTITY)


class PublishedRows:
    """The rows of datasets, as the loader has stored them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def matching(self, dataset: DatasetVersion, condition: str) -> list[list[int]]:
        """`_partition`, `_offset` and `_seq` of rows that meet a condition, at most a thousand.

        Errors: RefusedQueryError, QueryError, Transient.
        """
        domain, _, name = dataset.name.partition(".")
        sql = f"SELECT {_IDENTITY} FROM `{domain}`.`{name}` WHERE {guarded_condition(condition)}"
        try:
            return self._warehouse.query(guarded(sql, {domain}, _MOST_MATCHING), _MOST_MATCHING).rows
        except QueryError as error:
            if error.no_table:  # the loader makes it with the first row
                return []
            raise

    def made_of(self, dataset: DatasetVersion, place: Place, loaded_at: Sequence[int] = ()) -> list[dict[str, Any]]:
        """The rows that were made of a raw record, all columns; `loaded_at`, their offsets in the topic they were loaded from,
        if known, spares reading the whole table. At most a thousand. Errors: Transient.
        """
        final = " FINAL" if dataset.contract().load.mode == "upsert" else ""
        found = f"`{columns.PARTITION}` = {int(place.partition)} AND `{columns.OFFSET}` = {int(place.offset)}"
        if loaded_at:
            offsets = ", ".join(str(int(offset)) for offset in loaded_at)
            found += f" AND `_load_partition` = {int(place.partition)} AND `_load_offset` IN ({offsets})"
        return self._records(
            f"SELECT * FROM {_live(dataset)}{final} WHERE {found} ORDER BY `{columns.SEQ}` LIMIT {_MOST_SIBLINGS}"
        )

    def shown(self, dataset: DatasetVersion, place: Place) -> set[int]:
        """The `_seq` of the rows made of a raw record that people see. Errors: Transient."""
        domain, _, name = dataset.name.partition(".")
        rows = self._records(
            f"SELECT `{columns.SEQ}` AS seq FROM `{domain}`.`{name}` WHERE `{columns.PARTITION}` = {int(place.partition)} "
            f"AND `{columns.OFFSET}` = {int(place.offset)} LIMIT {_MOST_SIBLINGS}"
        )
        return {row["seq"] for row in rows}

    def resubmitted(self, dataset: DatasetVersion, quarantine_id: str) -> list[Place]:
        """The raw records as which a quarantined row was read anew and loaded. Errors: Transient."""
        rows = self._records(
            f"SELECT DISTINCT `{columns.PARTITION}` AS partition, `{columns.OFFSET}` AS offset FROM {_live(dataset)} "
            f"WHERE `{columns.QUARANTINE_ID}` = {{id:String}} LIMIT 10",
            {"id": quarantine_id},
        )
        return [Place(row["partition"], row["offset"]) for row in rows]

    def holding(self, dataset: str, wanted: Sequence[str], values: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Rows of a dataset that people see, of which one of these columns is, as text, one of these values. Errors: Transient.

        Columns: names out of a dataset file, which have letters, digits and underscores.
        """
        domain, _, name = dataset.partition(".")
        listed = ", ".join(f"`{column}`" for column in wanted)
        met = " OR ".join(f"has({{values:Array(String)}}, ifNull(toString(`{column}`), ''))" for column in wanted)
        sql = f"SELECT DISTINCT {listed} FROM `{domain}`.`{name}` WHERE {met} ORDER BY {listed} LIMIT {int(most)}"
        return self._records(sql, {"values": list(values)})

    def _records(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        try:
            return self._warehouse.query(sql, _MOST_SIBLINGS, parameters).records()
        except QueryError as error:
            if error.no_table or error.code == _NO_COLUMN:  # of no row yet, or of none that was resubmitted
                return []
            raise


def _live(dataset: DatasetVersion) -> str:
    return table_of(dataset.name, dataset.generation)


def table_of(dataset: str, generation: int) -> str:
    """The table that the loader writes a generation to."""
    domain, _, name = dataset.partition(".")
    return f"`{domain}`.`{table_name(name, generation)}`"
