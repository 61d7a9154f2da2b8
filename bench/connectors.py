"""Each connector beside the bare library it is built on, on the same source: rows a second to the last row read, and to the
last Kafka commit. Beside it: what Kafka takes when nothing is read; what the library and Kafka take one after the other, the
least that one thread can; and dlt, which loads the same table and the same API.

The sides take turns, so that a slow moment meets all of them; the median of the rounds counts. The databases and the API are
started for it, on loopback.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import adbc_driver_postgresql.dbapi
import connectorx
import httpx
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.json as pajson
import pyarrow.parquet as pq
import pymysql
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.orders import orders
from bench.peers import dlt
from bench.report import Finding
from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import LOOPBACK
from headrace.contract import Contract
from headrace.stream import topics
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, relax_collector
from services.ingest.adapters.publisher import Encoded, Publisher
from tests.databases import server
from tests.mariadb import MariaDb
from tests.postgresql import PostgreSql
from tests.stack import free_ports

BATCH_ROWS: Final = 50_000
_ROUNDS: Final = 3  # the median counts; one more in front warms up
_NAMES: Final = "order_id, customer_id, email, status, amount, currency, country, ts, items, note"


@dataclass(frozen=True, slots=True)
class Case:
    """A source of `rows` rows, and how the bare library reads it. `bare` returns how many rows it read."""

    name: str
    library: str
    rows: int
    source: dict[str, Any]
    bare: Callable[[], int]
    peers: Sequence["Peer"] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """Another program that loads the same source: in an environment of its own, it prints its rows a second."""

    name: str
    command: Sequence[str]


def run(brokers: str, registry_url: str, rows: int, only: Sequence[str] = ()) -> list[Finding]:
    """Measure the connectors, all or those with one of `only` in their name, over `rows` orders; the API, whose server is in
    Python, over a tenth."""
    relax_collector()
    found: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as made, ExitStack() as running:
        place = Place(Path(made), brokers, registry_url, running)
        table = pa.Table.from_batches([orders(0, rows)])
        for name, prepared in _CASES.items():
            if only and not any(part in name for part in only):
                continue
            case = prepared(place, table)
            sys.stderr.write(f"measuring {case.name} over {case.rows:,} rows\n")
            found += _measured(case, place)
    return found


def _measured(case: Case, place: "Place") -> list[Finding]:
    publishing = _Publishing(case, place)
    sides = {
        "alone": lambda: _timed(case, case.bare),
        "read": lambda: _timed(case, lambda: _read(case, place.folder)),
        "committed": publishing.rows_s,
        "kafka": publishing.rows_s_of_kafka,
    }
    rounds = [{name: side() for name, side in sides.items()} for _ in range(1 + _ROUNDS)][1:]
    alone, read, committed, kafka = (median(each[name] for each in rounds) for name in sides)
    found = [
        Finding("connectors", f"{case.name}: {case.library} alone", alone, "rows/s"),
        Finding("connectors", f"{case.name}: the same records to the Kafka commit, nothing read", kafka, "rows/s"),
        Finding("connectors", f"{case.name}: read", read, "rows/s", f"{case.library} alone", read / alone),
        _finding(case, committed, f"{case.library} alone", alone),
        _finding(case, committed, "the same records to Kafka, nothing read", kafka),
        _finding(case, committed, f"{case.library}, then Kafka", 1 / (1 / alone + 1 / kafka)),
    ]
    for peer in case.peers:
        sys.stderr.write(f"measuring {peer.name}\n")
        answer = subprocess.run(peer.command, check=True, stdout=subprocess.PIPE, text=True, cwd=place.folder).stdout
        theirs = float(answer.splitlines()[-1])
        found += [
            Finding("connectors", f"{case.name}: {peer.name}", theirs, "rows/s"),
            _finding(case, committed, peer.name, theirs),
        ]
    return found


def _finding(case: Case, committed: float, peer: str, theirs: float) -> Finding:
    return Finding("connectors", f"{case.name}: to the Kafka commit", committed, "rows/s", peer, committed / theirs)


def _timed(case: Case, work: Callable[[], int]) -> float:
    """Rows a second."""
    started = time.perf_counter()
    rows = work()
    seconds = time.perf_counter() - started
    assert rows == case.rows, f"{case.name}: {rows} rows instead of {case.rows}"
    return rows / seconds


def _connector(case: Case, folder: Path) -> tuple[Contract, Connector]:
    document = {"dataset": "bench.source", "description": "a bench", "owner": {"team": "bench"}, "source": case.source}
    contract = Contract.from_json(json.dumps(document))
    surroundings = Surroundings("bench.source", batch_rows=BATCH_ROWS, settle_s=0.0, folder=folder, targets=LOOPBACK)
    return contract, opened(contract.source, surroundings)


def _read(case: Case, folder: Path) -> int:
    _, connector = _connector(case, folder)
    return sum(fetched.rows_read for fetched, _ in connector.read(None))


class _Publishing:
    """A case to the Kafka commit.

    The topics are made and the transactional id is taken before any clock starts: a source task does that once, however long it
    reads.
    """

    def __init__(self, case: Case, place: "Place") -> None:
        self._case, self._folder = case, place.folder
        contract, _ = _connector(case, place.folder)
        connection = Connection(place.brokers)
        kafka_topics.ensure_control(connection)
        name = f"bench.{re.sub('[^a-z]+', '_', case.name.lower())}_{time.monotonic_ns()}"
        kafka_topics.ensure_dataset(connection, name, 1, contract.partitions)
        self._topic = topics.raw(name)
        self._writer = TransactionalWriter(connection, name)
        self._writer.init()
        dataset = LiveDataset(name, 1, 1, "active", contract)
        self._publisher = Publisher(dataset, Registry(place.registry_url), self._writer, "bench")
        place.running.callback(self._writer.close)

    def rows_s(self) -> float:
        """As ingest does it: each step in a transaction of its own."""
        return _timed(self._case, self._published)

    def rows_s_of_kafka(self) -> float:
        """The records were made before: what confluent-kafka and the broker do with them, in the same transactions."""
        batches = [values for encoded, _ in self._steps() if (values := encoded.values)]
        return _timed(self._case, lambda: sum(map(self._written, batches)))

    def _steps(self) -> Generator[tuple[Encoded, str], None, None]:
        _, connector = _connector(self._case, self._folder)
        return ((self._publisher.encoded(fetched), position) for fetched, position in connector.read(None))

    def _published(self) -> int:
        rows = 0
        for encoded, _ in self._steps():
            self._publisher.write([encoded])
            rows += len(encoded.values) + len(encoded.rejected)
        return rows

    def _written(self, values: Sequence[bytes]) -> int:
        with self._writer.transaction() as transaction:
            transaction.produce(self._topic, values, partition=0)
        return len(values)


@dataclass(frozen=True, slots=True)
class Place:
    """Where cases are prepared; what they start is stopped by `running`."""

    folder: Path
    brokers: str
    registry_url: str
    running: ExitStack


def _csv(place: Place, table: pa.Table) -> Case:
    path = place.folder / "orders.csv"
    pacsv.write_csv(table, path)
    return Case("CSV", "pyarrow", table.num_rows, _file(path), lambda: _count(pacsv.open_csv(path)))


def _json_lines(place: Place, table: pa.Table) -> Case:
    path = place.folder / "orders.jsonl"
    path.write_text("\n".join(_lines(table)) + "\n")
    return Case("JSON Lines", "pyarrow", table.num_rows, _file(path), lambda: pajson.read_json(path).num_rows)


def _parquet(place: Place, table: pa.Table) -> Case:
    path = place.folder / "orders.parquet"
    pq.write_table(table, path)

    def bare() -> int:
        return _count(pq.ParquetFile(path).iter_batches(BATCH_ROWS))

    return Case("Parquet", "pyarrow", table.num_rows, _file(path), bare)


def _file(path: Path) -> dict[str, Any]:
    return {"type": "file", "path": path.name}


def _count(batches: Any) -> int:
    return sum(batch.num_rows for batch in batches)


def _lines(table: pa.Table) -> list[str]:
    return [json.dumps({**row, "ts": row["ts"].isoformat()}) for row in table.to_pylist()]


def _postgresql(place: Place, table: pa.Table) -> Case:
    database = place.running.enter_context(server(PostgreSql))
    with (
        adbc_driver_postgresql.dbapi.connect(database.url, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_ingest("orders", table)
        cursor.execute("ALTER TABLE orders ADD PRIMARY KEY (order_id)")
        cursor.execute("ANALYZE orders")

    def bare() -> int:
        with adbc_driver_postgresql.dbapi.connect(database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {_NAMES} FROM orders ORDER BY order_id")
            return _count(cursor.fetch_record_batch())

    where = {"host": "127.0.0.1", "port": database.port, "name": "postgres", "user": "headrace"}
    source = {"type": "sql", "database": "postgresql", **where, "table": "orders", "key": ["order_id"]}
    peers = [
        Peer(
            f"dlt, {backend}",
            dlt("sql", database.url.replace("postgresql:", "postgresql+psycopg2:"), table.num_rows, backend),
        )
        for backend in ("sqlalchemy", "pyarrow", "connectorx")
    ]
    return Case("PostgreSQL", "ADBC", table.num_rows, source, bare, peers)


def _mariadb(place: Place, table: pa.Table) -> Case:
    database = place.running.enter_context(server(MariaDb))
    kinds = (
        "bigint PRIMARY KEY, bigint, varchar(80), varchar(10), double, varchar(3), varchar(2), datetime(6), int, text"
    )
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(_NAMES.split(", "), kinds.split(", "), strict=True))
    with pymysql.connect(
        host="127.0.0.1", port=database.port, user="root", database="shop", autocommit=True
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE TABLE orders ({columns})")
        for batch in table.to_batches(10_000):
            values = [tuple(row.values()) for row in batch.to_pylist()]
            cursor.executemany(f"INSERT INTO orders VALUES ({', '.join(['%s'] * batch.num_columns)})", values)

    def bare() -> int:
        url = f"mysql://root@127.0.0.1:{database.port}/shop"
        found: Any = connectorx.read_sql(url, f"SELECT {_NAMES} FROM orders ORDER BY order_id", return_type="arrow")
        return int(found.num_rows)

    where = {"host": "127.0.0.1", "port": database.port, "name": "shop", "user": "root"}
    source = {"type": "sql", "database": "mysql", **where, "table": "orders", "key": ["order_id"]}
    return Case("MariaDB", "connectorx", table.num_rows, source, bare)


def _kafka(place: Place, table: pa.Table) -> Case:
    brokers, lines = place.brokers, _lines(table)
    topic = f"bench-source-{time.monotonic_ns()}"
    kafka_topics.ensure(Connection(brokers), {topic: 1})
    producer = Producer({"bootstrap.servers": brokers, "queue.buffering.max.messages": 2_000_000, "linger.ms": 5})
    for line in lines:
        producer.produce(topic, line, partition=0)
    assert producer.flush(120) == 0

    def bare() -> int:
        consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "fetch.queue.backoff.ms": 2})
        consumer.assign([TopicPartition(topic, 0, 0)])
        rows = 0
        while rows < len(lines):
            rows += len([json.loads(message.value() or b"") for message in consumer.consume(10_000, 1.0)])
        consumer.close()
        return rows

    source = {"type": "kafka", "bootstrap_servers": brokers, "topic": topic, "value": {"format": "json"}}
    return Case("Kafka, JSON", "confluent-kafka and json", len(lines), source, bare)


def _rest(place: Place, table: pa.Table) -> Case:
    lines = _lines(table.slice(0, table.num_rows // 10))
    served = place.folder / "served"
    served.mkdir()
    (served / "rows.jsonl").write_text("\n".join(lines))
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.chaos.serving", "rest", str(port), str(served)]
    process = subprocess.Popen(command)
    place.running.callback(process.kill)
    url = f"http://127.0.0.1:{port}/rows"
    _until_it_answers(url)

    def bare() -> int:
        rows, cursor = 0, "0"
        with httpx.Client() as client:
            while cursor is not None:
                page = client.get(url, params={"cursor": cursor}).json()
                rows, cursor = rows + len(page["items"]), page["next"]
        return rows

    pagination = {"type": "cursor", "path": "$.next", "param": "cursor"}
    source = {"type": "rest", "url": url, "records": "$.items", "pagination": pagination}
    peers = [Peer(f"dlt, {variant}", dlt("rest", url, len(lines), variant)) for variant in ("as documented", "tuned")]
    return Case("REST", "httpx and json", len(lines), source, bare, peers)


def _until_it_answers(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer")


_CASES: Final[Mapping[str, Callable[[Place, pa.Table], Case]]] = {
    "CSV": _csv,
    "JSON Lines": _json_lines,
    "Parquet": _parquet,
    "PostgreSQL": _postgresql,
    "MariaDB": _mariadb,
    "Kafka": _kafka,
    "REST": _rest,
}
