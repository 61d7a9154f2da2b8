"""Each connector beside the bare library it is built on, on the same source: rows a second to the last row read, and to the
last Kafka commit.

Every side runs twice in this process and the second time counts; the databases and the API are started for it, on loopback.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
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
from bench.report import Finding
from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import LOOPBACK
from headrace.contract import Contract
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset
from services.ingest.adapters.publisher import Publisher
from tests.databases import server
from tests.mariadb import MariaDb
from tests.postgresql import PostgreSql
from tests.stack import free_ports

BATCH_ROWS: Final = 50_000
_NAMES: Final = "order_id, customer_id, email, status, amount, currency, country, ts, items, note"


@dataclass(frozen=True, slots=True)
class Case:
    """A source of `rows` rows, and how the bare library reads it. `bare` returns how many rows it read."""

    name: str
    library: str
    rows: int
    source: dict[str, Any]
    bare: Callable[[], int]


def run(brokers: str, registry_url: str, rows: int) -> list[Finding]:
    """Measure every connector over `rows` orders; the API, whose server is in Python, over a tenth."""
    found: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as made, ExitStack() as running:
        folder = Path(made)
        for case in _cases(folder, brokers, rows, running):
            sys.stderr.write(f"measuring {case.name} over {case.rows:,} rows\n")
            found += _measured(case, folder, brokers, registry_url)
    return found


def _measured(case: Case, folder: Path, brokers: str, registry_url: str) -> list[Finding]:
    bare = _rate(case, case.bare)
    read = _rate(case, lambda: _read(case, folder))
    committed = _rate(case, lambda: _committed(case, folder, brokers, registry_url))
    return [
        Finding("connectors", f"{case.name}: {case.library} alone", bare, "rows/s"),
        Finding("connectors", f"{case.name}: read", read, "rows/s", case.library, read / bare),
        Finding("connectors", f"{case.name}: to the Kafka commit", committed, "rows/s", case.library, committed / bare),
    ]


def _rate(case: Case, work: Callable[[], int]) -> float:
    """Rows a second of the second time."""
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        rows = work()
        seconds = time.perf_counter() - started
        assert rows == case.rows, f"{case.name}: {rows} rows instead of {case.rows}"
    return case.rows / seconds


def _connector(case: Case, folder: Path) -> tuple[Contract, Connector]:
    document = {"dataset": "bench.source", "description": "a bench", "owner": {"team": "bench"}, "source": case.source}
    contract = Contract.from_json(json.dumps(document))
    surroundings = Surroundings("bench.source", batch_rows=BATCH_ROWS, settle_s=0.0, folder=folder, targets=LOOPBACK)
    return contract, opened(contract.source, surroundings)


def _read(case: Case, folder: Path) -> int:
    _, connector = _connector(case, folder)
    return sum(fetched.rows_read for fetched, _ in connector.read(None))


def _committed(case: Case, folder: Path, brokers: str, registry_url: str) -> int:
    """As ingest does it: each step in a transaction of its own."""
    contract, connector = _connector(case, folder)
    connection = Connection(brokers)
    kafka_topics.ensure_control(connection)
    name = f"bench.{case.name.replace(' ', '_').lower()}_{time.monotonic_ns()}"
    kafka_topics.ensure_dataset(connection, name, 1, contract.partitions)
    writer = TransactionalWriter(connection, name)
    publisher = Publisher(LiveDataset(name, 1, 1, "active", contract), Registry(registry_url), writer, "bench")
    rows = 0
    try:
        for fetched, _ in connector.read(None):
            publisher.write([publisher.encoded(fetched)])
            rows += fetched.rows_read
    finally:
        writer.close()
    return rows


def _cases(folder: Path, brokers: str, rows: int, running: ExitStack) -> Iterator[Case]:
    """Each source is there when it is given."""
    table = pa.Table.from_batches([orders(0, rows)])
    pacsv.write_csv(table, folder / "orders.csv")
    pq.write_table(table, folder / "orders.parquet")
    lines = _lines(table)
    (folder / "orders.jsonl").write_text("\n".join(lines) + "\n")

    def file(name: str) -> dict[str, Any]:
        return {"type": "file", "path": name}

    yield Case("CSV", "pyarrow", rows, file("orders.csv"), lambda: _count(pacsv.open_csv(folder / "orders.csv")))
    yield Case(
        "JSON Lines", "pyarrow", rows, file("orders.jsonl"), lambda: pajson.read_json(folder / "orders.jsonl").num_rows
    )
    parquet = folder / "orders.parquet"
    yield Case(
        "Parquet",
        "pyarrow",
        rows,
        file("orders.parquet"),
        lambda: _count(pq.ParquetFile(parquet).iter_batches(BATCH_ROWS)),
    )
    postgres = running.enter_context(server(PostgreSql))
    yield _postgresql(postgres, table)
    mariadb = running.enter_context(server(MariaDb))
    yield _mariadb(mariadb, table)
    yield _kafka(brokers, lines)
    yield _rest(folder, lines[: rows // 10], running)


def _count(batches: Any) -> int:
    return sum(batch.num_rows for batch in batches)


def _lines(table: pa.Table) -> list[str]:
    return [json.dumps({**row, "ts": row["ts"].isoformat()}) for row in table.to_pylist()]


def _postgresql(database: PostgreSql, table: pa.Table) -> Case:
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
    return Case("PostgreSQL", "ADBC", table.num_rows, source, bare)


def _mariadb(database: MariaDb, table: pa.Table) -> Case:
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


def _kafka(brokers: str, lines: Sequence[str]) -> Case:
    topic = f"bench-source-{time.monotonic_ns()}"
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


def _rest(folder: Path, lines: Sequence[str], running: ExitStack) -> Case:
    served = folder / "served"
    served.mkdir()
    (served / "rows.jsonl").write_text("\n".join(lines))
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.chaos.serving", "rest", str(port), str(served)]
    process = subprocess.Popen(command)
    running.callback(process.kill)
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
    return Case("REST", "httpx and json", len(lines), source, bare)


def _until_it_answers(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer")
