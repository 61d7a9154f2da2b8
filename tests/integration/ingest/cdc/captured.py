"""A table of PostgreSQL or MariaDB whose changes are captured, and a Kafka Connect to do it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlparse

import adbc_driver_postgresql.dbapi
import pymysql

from headrace.connector import Connector, KafkaConnect, Surroundings, opened
from headrace.connector.conformance import LOOPBACK, Row
from headrace.contract import Contract
from services.ingest.connectors.cdc.connector import CdcConnector
from services.ingest.connectors.cdc.departure import PUBLICATION, SLOT
from services.ingest.connectors.cdc.names import Names
from tests.integration.ingest.running import until
from tests.stack import Stack

COLUMNS = "id bigint PRIMARY KEY, name text NOT NULL, amount numeric(12,2), note text"


class Captured:
    """A table of its own, of PostgreSQL. `dataset` is whose it is; what was set up for it is taken away by `close`."""

    #: What the database holds for a capture.
    holds = frozenset([SLOT, PUBLICATION])
    #: Whether a deleted row comes with all its columns.
    whole_deletes = False

    def __init__(self, url: str, stack: Stack, columns: str = COLUMNS, **settings: Any) -> None:
        self._stack = stack
        self.url, suffix = url, uuid.uuid4().hex[:8]
        self.name, self.dataset = f"orders_{suffix}", f"cdc.t{suffix}"
        self._settings = settings
        self.connection = self._connected()
        self.execute(f"CREATE TABLE {self.name} ({columns})")
        self.rows: list[Row] = []

    def _connected(self) -> Any:
        return adbc_driver_postgresql.dbapi.connect(self.url, autocommit=True)

    def execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def asked(self, sql: str) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def content(self) -> list[Mapping[str, Any]]:
        """The table as it is, by id."""
        rows = self.asked(f"SELECT id, name, CAST(amount AS char(14)), note FROM {self.name} ORDER BY id")
        return [
            {"id": id, "name": name, "amount": amount and amount.strip(), "note": note}
            for id, name, amount, note in rows
        ]

    def insert(self, first: int, count: int) -> None:
        """Rows with consecutive ids, in one transaction."""
        self.execute(
            f"INSERT INTO {self.name} (id, name, amount) "
            f"SELECT n, concat('n', n), n / 4.0 FROM {self._numbers(first, first + count - 1)}"
        )

    def _numbers(self, first: int, last: int) -> str:
        return f"generate_series({first}, {last}) AS n"

    def settings(self, **more: Any) -> dict[str, Any]:
        """The `source` of a dataset file."""
        at = urlparse(self.url)
        where = {"host": at.hostname, "port": at.port, "name": at.path[1:], "user": at.username, "table": self.name}
        return {"type": "postgres_cdc", **where, **self._settings, **more}

    def document(self, **more: Any) -> dict[str, Any]:
        """A dataset file."""
        said = {"dataset": self.dataset, "description": "a test", "owner": {"team": "tests"}}
        return {**said, "source": self.settings(**more), "key": ["id"], "load": {"mode": "upsert"}}

    def surroundings(self, **more: Any) -> Surroundings:
        return Surroundings(self.dataset, **{"targets": LOOPBACK, **self._platform(), **more})

    def _platform(self) -> dict[str, Any]:
        settings = self._stack.settings
        return {
            "kafka": {"bootstrap.servers": settings.bootstrap_servers},
            "connect": KafkaConnect(settings.connect_url, settings.connect_secrets),
        }

    def connector(self, surroundings: Surroundings | None = None, **more: Any) -> CdcConnector:
        """A new connector, as another process would have it."""
        contract = Contract.from_json(json.dumps(self.document(**more)))
        connector = opened(contract.source, surroundings or self.surroundings())
        assert isinstance(connector, CdcConnector)
        return connector

    def held(self, number: int = 1) -> set[str]:
        """What PostgreSQL holds for a snapshot's capture."""
        slot = Names(self.dataset, number).slot
        found = self.asked(
            f"SELECT 'slot' FROM pg_replication_slots WHERE slot_name = '{slot}' "
            f"UNION ALL SELECT 'publication' FROM pg_publication WHERE pubname = '{slot}'"
        )
        return {what for (what,) in found}

    def read(self, connector: Connector, position: str | None, rows: int) -> tuple[list[Row], str | None]:
        """At least so many rows behind a position, as soon as they are there, and the position behind them."""
        found: list[Row] = []
        reached = position

        def enough() -> bool:
            nonlocal reached
            for fetched, behind in connector.read(reached):
                reached = behind
                assert fetched.rejected == ()
                found.extend(fetched.rows.to_pylist())
            return len(found) >= rows and not connector.waiting

        until(enough, f"{rows} rows of {self.dataset}", 90)
        return found, reached

    def close(self) -> None:
        """Take everything away."""
        for number in (2, 1):
            assert (
                self.connector(port=urlparse(self.url).port).leave(
                    Names(self.dataset, number).connector, tuple(self.holds)
                )
                == []
            )
        self.execute(f"DROP TABLE {self.name}")
        self.connection.close()


class CapturedOfMariaDb(Captured):
    """The same of MariaDB, which holds nothing for anybody."""

    holds = frozenset()
    whole_deletes = True

    def _connected(self) -> Any:
        at = urlparse(self.url)
        return pymysql.connect(
            host=at.hostname,
            port=at.port or 0,
            user=at.username,
            database=at.path[1:],
            charset="utf8mb4",
            autocommit=True,
        )

    def _numbers(self, first: int, last: int) -> str:
        return f"(SELECT seq AS n FROM seq_{first}_to_{last}) AS numbers"

    def settings(self, **more: Any) -> dict[str, Any]:
        """See `Captured.settings`."""
        at = urlparse(self.url)
        where = {"host": at.hostname, "port": at.port, "user": at.username, "table": f"{at.path[1:]}.{self.name}"}
        return {"type": "mariadb_cdc", **where, **self._settings, **more}

    def held(self, number: int = 1) -> set[str]:
        """See `Captured.held`."""
        return set()


#: The databases by name, with the fixture that says where each is.
KINDS: Final[Mapping[str, tuple[type[Captured], str]]] = {
    "postgres": (Captured, "postgres_url"),
    "mariadb": (CapturedOfMariaDb, "mariadb_url"),
}


class UnderTest(Captured):
    """The table as the conformance suite wants it: what is expected is there by the time it is read."""

    def __init__(self, url: str, stack: Stack) -> None:
        super().__init__(url, stack)
        self.insert(0, 40)
        self._seen, self._position = self.connector(), None
        self.rows, self._position = self.read(self._seen, None, 40)
        assert [row["id"] for row in self.rows] == list(range(40))

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        mine = self.surroundings(schema=surroundings.schema, batch_rows=surroundings.batch_rows)
        return self.connector(mine)

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        first = len(self.rows)
        self.insert(first, 20)
        added, self._position = self.read(self._seen, self._position, 20)
        assert [row["id"] for row in added] == list(range(first, first + 20))
        self.rows += added
        return added

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return self.connector(port=1)
