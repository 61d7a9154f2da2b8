"""Wires the loader: for each dataset a pump into its table, and one that makes its quarantine queryable.

Beside them, where a dataset is loaded in runs, who sees to it that its view shows whole ones.
"""

import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial

from headrace.stream import topics
from headrace.stream.notices import Notices
from headrace.stream.pump import Pump, Sink
from headrace.stream.registry import Registry
from headrace.stream.retirement import Estate
from headrace.stream.right_of_way import RightOfWay
from headrace.stream.service import LIVE, LiveDataset, Worker, WorkersFor
from headrace.stream.wiring import kafka_pump
from services.loader.adapters.clickhouse import ClickHouse
from services.loader.adapters.run_keeper import RunKeeper
from services.loader.adapters.sink import WarehouseSink
from services.loader.adapters.view_keeper import ViewKeeper
from services.loader.adapters.warehouse import LoaderWarehouse, Warehouse
from services.loader.core.stage import LoaderStage
from services.loader.core.table import Table, published, quarantined, table_of
from services.loader.settings import LoaderSettings


def workers(
    settings: LoaderSettings, warehouse: Callable[[LoaderSettings], LoaderWarehouse] | None = None
) -> WorkersFor:
    """What the loader does for a dataset. `warehouse` makes a connection; each worker has its own."""
    registry, way = Registry(settings.registry_url), RightOfWay()
    notices = Notices(settings.connection(), registry, "loader", settings.instance)
    connect = partial(warehouse or clickhouse, settings)

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        yield partial(pump_for, dataset, settings, registry, connect, way)
        if dataset.role != LIVE:
            return
        yield partial(quarantine_pump_for, dataset, settings, registry, connect)
        if dataset.contract.load.mode == "replace":
            yield partial(keeper_for, dataset, settings, registry, connect, notices)
        elif dataset.promoted:
            yield partial(view_keeper_for, dataset, connect)

    return workers_for


def estate(settings: LoaderSettings, warehouse: Callable[[LoaderSettings], LoaderWarehouse] | None = None) -> Estate:
    """What the loader has of each generation: its group, and the table."""

    def drop(dataset: str, generation: int) -> None:
        with closing((warehouse or clickhouse)(settings)) as connected:
            connected.drop(table_of(dataset, generation))

    return Estate("loader", drop=drop)


def clickhouse(settings: LoaderSettings) -> ClickHouse:
    """A connection to the warehouse, made when it is first used."""
    return ClickHouse(
        settings.warehouse_url,
        settings.warehouse_user,
        settings.warehouse_password.get_secret_value(),
        timeout_s=settings.warehouse_timeout_s,
    )


def pump_for(
    dataset: LiveDataset,
    settings: LoaderSettings,
    registry: Registry,
    connect: Callable[[], Warehouse],
    way: RightOfWay | None = None,
) -> Pump:
    """The pump from validated into the dataset's table."""
    name, generation = dataset.name, dataset.generation
    table = published(dataset.contract, generation, live=dataset.role == LIVE, promotion=dataset.promotion)
    return _pump(dataset, settings, registry, connect, "loader", topics.validated(name, generation), table, way)


def quarantine_pump_for(
    dataset: LiveDataset, settings: LoaderSettings, registry: Registry, connect: Callable[[], Warehouse]
) -> Pump:
    """The pump from quarantine, which all generations share, into its table."""
    table = quarantined(dataset.contract)
    return _pump(dataset, settings, registry, connect, "quarantine_loader", topics.quarantine(dataset.name), table)


def keeper_for(
    dataset: LiveDataset,
    settings: LoaderSettings,
    registry: Registry,
    connect: Callable[[], LoaderWarehouse],
    notices: Notices,
) -> RunKeeper:
    """Who shows the dataset's full loads."""
    return RunKeeper(
        dataset,
        settings.connection(),
        registry,
        connect(),
        notices,
        session_timeout_ms=settings.session_timeout_ms,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        compare=settings.compare_runs,
    )


def view_keeper_for(dataset: LiveDataset, connect: Callable[[], LoaderWarehouse]) -> ViewKeeper:
    """Who has the dataset's view show the generation that was promoted."""
    return ViewKeeper(dataset, connect())


def _pump(
    dataset: LiveDataset,
    settings: LoaderSettings,
    registry: Registry,
    connect: Callable[[], Warehouse],
    stage: str,
    topic: str,
    table: Table,
    way: RightOfWay | None = None,
) -> Pump:
    def around(sink: Sink) -> Sink:
        return WarehouseSink(sink, connect(), table, f"{settings.instance}/{uuid.uuid4()}")

    return kafka_pump(dataset, settings, registry, LoaderStage(stage, table), topic, {}, around=around, way=way)
