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


def workers(settings: LoaderSettings, warehouse: Callable[[LoaderSettings], Warehouse] | None = None) -> WorkersFor:
    """What the loader does for a dataset. `warehouse` makes a connection; each pump has its own."""
    registry = Registry(settings.registry_url)
    connect = partial(warehouse or clickhouse, settings)

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        return (
            partial(pump_for, dataset, settings, registry, connect),
            partial(quarantine_pump_for, dataset, settings, registry, connect),
        )

    return workers_for


def clickhouse(settings: LoaderSettings) -> ClickHouse:
    """A connection to the warehouse, made when it is first used."""
    return ClickHouse(
        settings.warehouse_url,
        settings.warehouse_user,
        settings.warehouse_password.get_secret_value(),
        timeout_s=settings.warehouse_timeout_s,
    )


def pump_for(
    dataset: LiveDataset, settings: LoaderSettings, registry: Registry, connect: Callable[[], Warehouse]
) -> Pump:
    """The pump from validated into the dataset's table."""
    name, generation = dataset.name, dataset.generation
    table = published(dataset.contract, generation)
    group = f"headrace.loader.{name}.v{generation}"
    return _pump(dataset, settings, registry, connect, "loader", topics.validated(name, generation), group, table)


def quarantine_pump_for(
    dataset: LiveDataset, settings: LoaderSettings, registry: Registry, connect: Callable[[], Warehouse]
) -> Pump:
    """The pump from quarantine, which all generations share, into its table."""
    name, stage = dataset.name, "quarantine_loader"
    table = quarantined(dataset.contract)
    return _pump(
        dataset, settings, registry, connect, stage, topics.quarantine(name), f"headrace.{stage}.{name}", table
    )


def _pump(
    dataset: LiveDataset,
    settings: LoaderSettings,
    registry: Registry,
    connect: Callable[[], Warehouse],
    stage: str,
    topic: str,
    group: str,
    table: Table,
) -> Pump:
    writer = TransactionalWriter(
        settings.connection(),
        f"{group}.{settings.instance}",
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )
    kafka = KafkaSink(writer, Outputs(registry, {}, topics.quarantine(dataset.name)))
    return Pump(
        Position(dataset.name, dataset.generation, dataset.version, stage, settings.instance),
        KafkaSource(settings.connection(), topic, group, session_timeout_ms=settings.session_timeout_ms),
        Decoder(registry),
        LoaderStage(stage, table),
        WarehouseSink(kafka, connect(), table, f"{settings.instance}/{uuid.uuid4()}"),
        max_rows=settings.max_batch_rows,
    )
