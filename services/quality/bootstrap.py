"""Wires the quality service: for each dataset a pump from transformed to validated, and its profiles."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial

from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.outputs import Messages
from headrace.stream.pump import Pump, Work
from headrace.stream.registry import Registry
from headrace.stream.right_of_way import RightOfWay
from headrace.stream.service import LiveDataset, Worker, WorkersFor
from headrace.stream.stage import MAIN
from headrace.stream.wiring import kafka_pump
from services.quality.core.gate import Gate
from services.quality.core.profile import profiles_of
from services.quality.settings import QualitySettings


def workers(settings: QualitySettings) -> WorkersFor:
    """What the quality service does for a dataset."""
    registry, way = Registry(settings.registry_url), RightOfWay()

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        return (partial(pump_for, dataset, settings, registry, way),)

    return workers_for


def pump_for(
    dataset: LiveDataset, settings: QualitySettings, registry: Registry, way: RightOfWay | None = None
) -> Pump:
    """The pump from transformed to validated."""
    name, generation = dataset.name, dataset.generation
    return kafka_pump(
        dataset,
        settings,
        registry,
        Gate(),
        topics.transformed(name, generation),
        {MAIN: topics.validated(name, generation)},
        extras=profiles(dataset, Controls(registry)),
        way=way,
    )


def profiles(dataset: LiveDataset, controls: Controls) -> Callable[[Work], Iterable[Messages]]:
    """The profiles of a transaction's batches, for the transaction to carry."""
    checked = {str(check.name): check.subject() for check in dataset.contract.checks if check.severity != "reject"}
    key = dataset.name.encode()

    def extras(work: Work) -> Iterable[Messages]:
        found = [controls.encode("profile", record) for record in profiles_of(work, checked, datetime.now(UTC))]
        return [Messages(topics.PROFILES, found, [key] * len(found))] if found else []

    return extras
