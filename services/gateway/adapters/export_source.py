"""Opens what an export reads: the published table as the exporter sees it, and how complete it is."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from headrace.access.policy import Sight
from headrace.contract.types import arrow_schema
from headrace.errors import Fatal
from services.gateway.accounts import Account
from services.gateway.adapters.export_bytes import encoded
from services.gateway.adapters.warehouse import QueryError, Warehouse
from services.gateway.core.completeness import Completeness, completeness
from services.gateway.core.conservation import STAGES
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.exports import Plan, Table, Wanted, plan
from services.gateway.core.query_errors import told
from services.gateway.core.visible import NEEDED, quoted


@dataclass(frozen=True, slots=True)
class Opened:
    """An export that begins: what it holds, how complete that is, and its bytes: to be read to their end, or closed."""

    plan: Plan
    completeness: Completeness
    pieces: Generator[bytes]


class ExportSource:
    """Reads datasets for exports. The warehouse's patience is that of an export."""

    def __init__(self, warehouse: Warehouse, account: Callable[[DatasetVersion], Account]) -> None:
        self._warehouse = warehouse
        self._account = account

    def open(
        self, dataset: DatasetVersion, wanted: Wanted, sight: Sight, counted: Callable[[int], None] | None = None
    ) -> Opened:
        """Begin an export. The books are looked at first: what is said of the rows holds for those that are read after it.

        Errors: NoSuchColumnError, RefusedQueryError, QueryError; Fatal when nothing was loaded yet; Transient. Reading the
        bytes: QueryError, Transient.
        """
        made = self.plan(dataset, wanted, sight)
        state = self.completeness(dataset)
        sent = _telling(made, self._warehouse.stream(made.sql, made.engine_format, made.settings))
        return Opened(made, state, encoded(wanted.format, made, sent, counted))

    def plan(self, dataset: DatasetVersion, wanted: Wanted, sight: Sight) -> Plan:
        """How the engine is to be asked. Errors: as `open`."""
        return plan(self._table(dataset), wanted, sight)

    def count(self, made: Plan) -> int:
        """How many rows a plan has just now. Errors: QueryError, Transient."""
        counted = f"SELECT count() FROM ({made.sql})"  # noqa: S608  # of a plan
        try:
            return int(self._warehouse.query(counted, 1, needed=NEEDED).rows[0][0])
        except QueryError as error:
            raise _as_told(made, error) from None

    def completeness(self, dataset: DatasetVersion) -> Completeness:
        """How complete its rows are that are read from now on."""
        asked_at = datetime.now(UTC)
        account = self._account(dataset)
        loaded_at = account.last_commit_at.get(STAGES[-1])
        return completeness(asked_at, account.waiting_for, loaded_at, account.books.total.in_flight)

    def _table(self, dataset: DatasetVersion) -> Table:
        name = ".".join(quoted(part) for part in dataset.name.split("."))
        try:
            columns = self._warehouse.query(f"SELECT * FROM {name} LIMIT 0", 0).columns  # noqa: S608  # a checked name
        except QueryError as error:
            if error.no_table:
                told = (
                    f"nothing of {dataset.name} was loaded yet; see what it waits for: headrace status {dataset.name}"
                )
                raise Fatal(told) from error
            raise
        declared = arrow_schema(dataset.contract())
        binary = {field.name for field in declared or () if pa.types.is_binary(field.type)} & {
            name for name, _ in columns
        }
        return Table(name, dict(columns), frozenset(binary))


def _telling(made: Plan, sent: Generator[bytes]) -> Generator[bytes]:
    """The pieces; an error has no word of the engine's where something is hidden."""
    with closing(sent):
        try:
            yield from sent
        except QueryError as error:
            raise _as_told(made, error) from None


def _as_told(made: Plan, error: QueryError) -> QueryError:
    return QueryError(told(str(error), error.code, made.words), error.code) if made.partial else error
