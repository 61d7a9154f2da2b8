"""Wires the loader: for each dataset a pump into its table, and one that makes its quarantine queryable."""

import uuid
from collections.abc import Callable, Iterable
from functools import partial

from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import KafkaSink, KafkaSource, TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Pump
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, Worker, WorkersFor
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.adapters.sink import WarehouseSink
from services.loader.adapters.warehouse import Warehouse
from services.loader.core.stage import LoaderStage
from services.loader.core.table import Table, published, quarantined
from services.loader.settings import LoaderSettings

LOADER = "loader"
QUARANTINE_LOADER = "quarantine_loader"


def workers(settings: LoaderSettings, connect: Callable[[], Warehouse] | None = None) -> WorkersFor:
    """What the loader does for a dataset. `connect` makes a connection to the warehouse, one for each pump."""
    registry = Registry(settings.registry_url)

    def clickhouse() -> Warehouse:
        password = settings.warehouse_password.get_secret_value()
        return ClickHouse(
            settings.warehouse_url, settings.warehouse_user, password, timeout_s=settings.warehouse_timeout_s
        )

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        build = partial(pump_for, dataset, settings, registry, connect or clickhouse)
        name, generation = dataset.name, dataset.generation
        return (
            lambda: build(LOADER, topics.validated(name, generation), published(dataset.contract, generation)),
            lambda: build(QUARANTINE_LOADER, topics.quarantine(name), quarantined(dataset.contract)),
        )

    return workers_for


def pump_for(
    dataset: LiveDataset,
    settings: LoaderSettings,
    registry: Registry,
    connect: Callable[[], Warehouse],
    stage: str,
    topic: str,
    table: Table,
) -> Pump:
    """The pump from a topic into a table."""
    name = dataset.name
    writer = TransactionalWriter(
        settings.connection(),
        f"headrace-{stage}-{name}-{settings.instance}",
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )
    kafka = KafkaSink(writer, Outputs(registry, {}, topics.quarantine(name)))
    return Pump(
        Position(name, dataset.generation, dataset.version, stage, settings.instance),
        KafkaSource(
            settings.connection(),
            topic,
            f"headrace.{stage}.{name}.v{dataset.generation}",
            session_timeout_ms=settings.session_timeout_ms,
        ),
        Decoder(registry),
        LoaderStage(stage, table),
        WarehouseSink(kafka, connect(), table, f"{settings.instance}/{uuid.uuid4()}"),
        max_rows=settings.max_batch_rows,
    )
