"""The loader shows whole runs, whatever breaks in between. What ingest and the stages in front do is done by hand here."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from headrace.contract import Contract
from headrace.errors import Fenced, Transient
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.columns import TRANSFORMED_FIELDS
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry
from headrace.stream.runs import History, Run
from headrace.stream.service import LiveDataset
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.adapters.warehouse import LoaderWarehouse
from services.loader.bootstrap import clickhouse, workers
from services.loader.core.runs import Verdict
from services.loader.core.table import Table
from services.loader.core.types import Type
from services.loader.settings import LoaderSettings
from tests.stack import Stack, eventually

OWN: list[pa.Field] = [pa.field("n", pa.int64())]
SCHEMA = pa.schema([*OWN, *TRANSFORMED_FIELDS])
WAIT_S = 60


class Dataset:
    """A dataset that is loaded in runs, with one partition."""

    def __init__(self, stack: Stack, database: str) -> None:
        self.name = f"{database}.rows"
        self.connection = Connection(stack.bootstrap_servers)
        self.registry = Registry(stack.registry_url)
        self.controls = Controls(self.registry)
        self.next = 0
        self._stack = stack
        kafka_topics.ensure_control(self.connection)
        kafka_topics.ensure_dataset(self.connection, self.name, 1, 1)
        document = {
            "dataset": self.name,
            "description": "Rows.",
            "owner": {"team": "Tests"},
            "source": {"type": "file", "path": "rows.csv"},
            "partitions": 1,
            "load": {"mode": "replace"},
        }
        self.live = LiveDataset(self.name, 1, 1, "active", Contract.model_validate(document))

    def begin(self, number: int) -> Run:
        """A run that begins."""
        now = datetime.now(UTC)
        run = Run(self.name, number, "begun", now, version=1, begun_at=now, starts=(self.next,))
        self.tell(run)
        return run

    def send(self, rows: int) -> None:
        """Rows of the next raw offsets, with these offsets for values."""
        now = datetime.now(UTC)
        same = {"_partition": 0, "_seq": 0, "_ingested_at": now, "_source_ts": None, "_op": "insert", "_version": 1}
        values = [{"n": at, "_offset": at, "_flags": [], **same} for at in range(self.next, self.next + rows)]
        topic, avro = topics.validated(self.name, 1), avro_schema(SCHEMA, self.name)
        schema_id = self.registry.register(topics.subject(topic), avro)
        encoded = Codec(avro).encode(pa.RecordBatch.from_pylist(values, schema=SCHEMA), schema_id)
        with self._transaction() as transaction:
            transaction.produce(topic, encoded, partition=0)
        self.next += rows

    def end(self, run: Run, rows: int) -> None:
        """The run's end, which every stage in front of the loader has passed."""
        stager = topics.group("stager", self.name, 1)
        consumer = Consumer(self.connection.client(group_id=stager))
        consumer.commit(offsets=[TopicPartition(topics.raw(self.name), 0, self.next)], asynchronous=False)
        consumer.close()
        self.tell(replace(run, state="ended", at=datetime.now(UTC), ends=(self.next,), rows=rows))

    def whole(self, number: int, rows: int) -> list[int]:
        """A run from its beginning to its end. Returns its rows."""
        first, run = self.next, self.begin(number)
        self.send(rows)
        self.end(run, rows)
        return list(range(first, first + rows))

    def tell(self, run: Run) -> None:
        with self._transaction() as transaction:
            transaction.produce(topics.RUNS, [self.controls.encode("run", run.record())], keys=[run.key])

    def history(self) -> History:
        followed = Followed(self.connection, topics.RUNS, lambda value: Run.of(self.controls.decode(value)))
        followed.refresh()
        followed.close()
        return History.of(self.name, followed.state.values())

    def states(self) -> list[str]:
        return [run.state for run in self.history().runs]

    @contextmanager
    def loader(
        self,
        instance: str = "a",
        warehouse: Callable[[LoaderSettings], LoaderWarehouse] = clickhouse,
        *,
        compare_runs: bool = True,
    ) -> Iterator[None]:
        """A loader at work; a worker that fails in a way that passes is built anew, as a service does."""
        stopping = threading.Event()
        errors: list[Exception] = []
        settings = LoaderSettings(
            bootstrap_servers=self._stack.bootstrap_servers,
            registry_url=self._stack.registry_url,
            instance=instance,
            warehouse_url=self._stack.warehouse_url,
            warehouse_password=self._stack.credentials.warehouse_password,
            session_timeout_ms=6000,
            compare_runs=compare_runs,
        )

        def run(build: Callable[[], Any]) -> None:
            while not stopping.is_set():
                try:
                    build().run(stopping)
                except (Transient, Fenced):
                    stopping.wait(0.2)
                except Exception as error:
                    errors.append(error)
                    return

        threads = [threading.Thread(target=run, args=(build,)) for build in workers(settings, warehouse)(self.live)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopping.set()
            for thread in threads:
                thread.join(60)
        assert not errors, errors

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        writer = TransactionalWriter(self.connection, f"send-{self.name}-{uuid.uuid4()}")
        with writer.transaction() as transaction:
            yield transaction
        writer.close()


@pytest.fixture
def dataset(stack: Stack, database: str) -> Dataset:
    return Dataset(stack, database)


def seen(client: Client, dataset: Dataset) -> list[int] | None:
    if not client.command(f"EXISTS {dataset.name}"):
        return None
    return [row[0] for row in client.query(f"SELECT n FROM {dataset.name} ORDER BY n").result_rows]


def comes(client: Client, dataset: Dataset, wanted: list[int]) -> None:
    eventually(lambda: seen(client, dataset) == wanted, WAIT_S, f"{len(wanted)} rows show")


def loaded(client: Client, dataset: Dataset, rows: int) -> None:
    table = f"{dataset.name}__g1"
    eventually(
        lambda: (
            bool(client.command(f"EXISTS {table}"))
            and client.query(f"SELECT count() FROM {table}").result_rows == [(rows,)]
        ),
        WAIT_S,
        f"{rows} rows are in the table",
    )


def test_what_is_half_loaded_does_not_show(dataset: Dataset, client: Client) -> None:
    with dataset.loader():
        run = dataset.begin(1)
        dataset.send(10)
        loaded(client, dataset, 10)
        eventually(lambda: seen(client, dataset) == [], WAIT_S, "an empty view")
        dataset.send(5)
        loaded(client, dataset, 15)
        assert seen(client, dataset) == []
        dataset.end(run, 15)
        comes(client, dataset, list(range(15)))


def test_a_run_that_was_given_up_never_shows(dataset: Dataset, client: Client) -> None:
    with dataset.loader():
        first = dataset.whole(1, 10)
        comes(client, dataset, first)
        dataset.begin(2)
        dataset.send(7)
        loaded(client, dataset, 17)
        third = dataset.whole(3, 4)
        comes(client, dataset, third)
    assert dataset.states() == ["shown", "begun", "shown"]
    assert client.query(f"SELECT min(n), max(n) FROM {dataset.name}").result_rows == [(third[0], third[-1])]


def lose_a_row(dataset: Dataset, client: Client) -> None:
    """A second run of 10 rows, of which one is lost in the warehouse before the run ends."""
    run = dataset.begin(2)
    dataset.send(10)
    loaded(client, dataset, 20)
    client.command(f"ALTER TABLE {dataset.name}__g1 DELETE WHERE n = 13 SETTINGS mutations_sync = 2")
    loaded(client, dataset, 19)
    dataset.end(run, 10)


def test_a_run_with_a_row_too_few_is_refused(dataset: Dataset, client: Client) -> None:
    with dataset.loader():
        first = dataset.whole(1, 10)
        comes(client, dataset, first)
        lose_a_row(dataset, client)
        eventually(lambda: dataset.states() == ["shown", "refused"], WAIT_S, "the run is refused")
        assert "of 10 rows published 9 are accounted for" in dataset.history().runs[1].message
        assert seen(client, dataset) == first
        third = dataset.whole(3, 5)
        comes(client, dataset, third)


def test_the_control_without_the_check_the_rows_that_are_left_show(
    dataset: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.loader.core.runs.verdict", lambda *_, **__: Verdict())
    with dataset.loader(compare_runs=False):
        comes(client, dataset, dataset.whole(1, 10))
        lose_a_row(dataset, client)
        comes(client, dataset, [at for at in range(10, 20) if at != 13])


def alter_a_row(dataset: Dataset, client: Client) -> None:
    """A second run of 10 rows, one of which is another in the warehouse before the run ends: their number says nothing of it."""
    run = dataset.begin(2)
    dataset.send(10)
    loaded(client, dataset, 20)
    client.command(f"ALTER TABLE {dataset.name}__g1 UPDATE n = 99 WHERE n = 13 SETTINGS mutations_sync = 2")
    dataset.end(run, 10)


def test_a_run_with_another_value_than_was_published_is_refused(dataset: Dataset, client: Client) -> None:
    with dataset.loader():
        first = dataset.whole(1, 10)
        comes(client, dataset, first)
        alter_a_row(dataset, client)
        eventually(lambda: dataset.states() == ["shown", "refused"], WAIT_S, "the run is refused")
        message = dataset.history().runs[1].message
        assert message == "in the table is another value than was published: n of the row 0:13"
        assert seen(client, dataset) == first
        third = dataset.whole(3, 5)
        comes(client, dataset, third)


def test_the_control_without_the_comparison_the_other_value_shows(dataset: Dataset, client: Client) -> None:
    with dataset.loader(compare_runs=False):
        comes(client, dataset, dataset.whole(1, 10))
        alter_a_row(dataset, client)
        comes(client, dataset, sorted([*range(10, 13), *range(14, 20), 99]))


class Breaking(ClickHouse):
    """A warehouse that fails before, then after each change of the view, and before each deletion."""

    broken: list[str]

    def show(self, table: Table, held: Mapping[str, Type], only: str | None = None) -> None:
        self._break(f"before {only}")
        super().show(table, held, only)
        self._break(f"after {only}")

    def discard(self, table: Table, only: str) -> None:
        self._break(f"discarding {only}")
        super().discard(table, only)

    def _break(self, where: str) -> None:
        if where not in self.broken:
            self.broken.append(where)
            raise Transient(f"broken on purpose {where[:40]}")


def test_wherever_it_breaks_off_it_is_taken_up_again(dataset: Dataset, client: Client, stack: Stack) -> None:
    broken: list[str] = []

    def breaking(settings: LoaderSettings) -> LoaderWarehouse:
        password = settings.warehouse_password.get_secret_value()
        made = Breaking(settings.warehouse_url, settings.warehouse_user, password)
        made.broken = broken
        return made

    with dataset.loader(warehouse=breaking):
        for number in (1, 2, 3):
            comes(client, dataset, dataset.whole(number, 10))
        eventually(
            lambda: client.query(f"SELECT min(n) FROM {dataset.name}__g1").result_rows == [(10,)],
            WAIT_S,
            "the rows of the first run are gone",
        )
    assert sum(where.startswith("before") for where in broken) >= 3
    assert sum(where.startswith("after") for where in broken) >= 3
    assert any(where.startswith("discarding") for where in broken)
    assert dataset.states() == ["shown"] * 3


def test_the_view_that_an_old_keeper_brings_back_does_not_stay(dataset: Dataset, client: Client) -> None:
    """One that stood still just before it made the view, and wakes up after its successor has shown another run."""
    with dataset.loader():
        comes(client, dataset, dataset.whole(1, 10))
        old = client.query(f"SHOW CREATE TABLE {dataset.name}").result_rows[0][0]
        second = dataset.whole(2, 10)
        comes(client, dataset, second)
        client.command(old.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
        comes(client, dataset, second)


def test_of_two_loaders_either_may_go(dataset: Dataset, client: Client) -> None:
    with dataset.loader("a"):
        with dataset.loader("b"):
            comes(client, dataset, dataset.whole(1, 10))
        comes(client, dataset, dataset.whole(2, 10))
        with dataset.loader("c"):
            comes(client, dataset, dataset.whole(3, 10))
    with dataset.loader("d"):
        comes(client, dataset, dataset.whole(4, 10))
    assert dataset.states() == ["shown"] * 4


def test_going_back(dataset: Dataset, client: Client) -> None:
    def recall(number: int) -> None:
        dataset.tell(Run(dataset.name, number, "recalled", datetime.now(UTC), "admin"))

    with dataset.loader():
        first = dataset.whole(1, 10)
        comes(client, dataset, first)
        second = dataset.whole(2, 10)
        comes(client, dataset, second)
        recall(1)
        comes(client, dataset, first)
    with dataset.loader("b"):
        assert seen(client, dataset) == first
        third = dataset.whole(3, 10)
        comes(client, dataset, third)
        recall(1)
        comes(client, dataset, first)
        eventually(
            lambda: client.query(f"SELECT count() FROM {dataset.name}__g1").result_rows == [(20,)],
            WAIT_S,
            "the rows of the second run, which is not kept, are gone",
        )


def test_what_nobody_will_ask_for_is_forgotten(
    dataset: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.loader.adapters.run_keeper._KEPT_RUNS", 1)
    with dataset.loader():
        for number in (1, 2, 3, 4):
            comes(client, dataset, dataset.whole(number, 3))
    assert [run.run for run in dataset.history().runs] == [2, 3, 4]
