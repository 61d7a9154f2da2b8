"""Wires the stager: for each dataset a pump from raw to staged, and beside it a lander into the lake."""

from collections.abc import Callable, Iterable
from functools import partial

from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import KafkaSource
from headrace.stream.lake import lake_catalog
from headrace.stream.notices import Notices
from headrace.stream.pump import Pump
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, Worker, WorkersFor
from headrace.stream.stage import MAIN
from headrace.stream.wiring import kafka_pump
from services.stager.adapters.lake import LakeTable
from services.stager.adapters.lander import Lander
from services.stager.core.stage import StagerStage
from services.stager.settings import StagerSettings


def workers(settings: StagerSettings) -> WorkersFor:
    """What the stager does for a dataset."""
    registry = Registry(settings.registry_url)
    notices = Notices(settings.connection(), registry, "stager", settings.instance)

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        return (
            partial(pump_for, dataset, settings, registry),
            partial(lander_for, dataset, settings, registry, notices),
        )

    return workers_for


def pump_for(dataset: LiveDataset, settings: StagerSettings, registry: Registry) -> Pump:
    """The pump from raw to staged."""
    ports = {MAIN: topics.staged(dataset.name)}
    return kafka_pump(dataset, settings, registry, StagerStage(dataset.version), topics.raw(dataset.name), ports)


def lander_for(dataset: LiveDataset, settings: StagerSettings, registry: Registry, notices: Notices) -> Lander:
    """The lander of the dataset's raw topic."""
    name = dataset.name

    def created(table: str) -> None:
        notices.event("asset_registered", name, f"the first records of {name} landed in {table}", {"table": table})

    lake = LakeTable(lake_catalog(settings), name, created)
    source = KafkaSource(
        settings.connection(),
        topics.raw(name),
        topics.group("lander", name, dataset.generation),
        positions=lake.positions,
        max_bytes=8 << 20,
        session_timeout_ms=settings.session_timeout_ms,
    )
    return Lander(name, dataset.version, source, Decoder(registry), lake, settings)
