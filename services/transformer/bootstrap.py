"""Wires the transformer: for each dataset a pump from staged to transformed, with the datasets it refers to at hand."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from headrace.contract import compile_transform
from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.pump import Pump
from headrace.stream.registry import Registry
from headrace.stream.right_of_way import RightOfWay
from headrace.stream.service import LiveDataset, Worker, WorkersFor
from headrace.stream.stage import MAIN
from headrace.stream.wiring import kafka_pump
from headrace.transform.engine import Engine
from headrace.transform.reference import needed
from headrace.transform.stage import Transform
from services.transformer.adapters.back_tests import BackTests
from services.transformer.adapters.hash_keys import HashKeys
from services.transformer.adapters.references import References
from services.transformer.adapters.trials import OpenStage, Trials
from services.transformer.settings import TransformerSettings


@dataclass(frozen=True, slots=True)
class Transforming:
    """A pump, and what it alone uses: given back when it ends."""

    pump: Pump
    engine: Engine
    references: References

    @property
    def name(self) -> str:
        return self.pump.name

    def run(self, stopping: threading.Event) -> None:
        """See `headrace.stream.service.Worker.run`."""
        try:
            self.pump.run(stopping)
        finally:
            self.references.close()
            self.engine.close()


def hash_keys(settings: TransformerSettings) -> HashKeys:
    """The keys of transforms. Errors: Fatal when the master keys are set wrongly."""
    registry = Registry(settings.registry_url)
    return HashKeys(settings.connection(), registry, settings.key_wrapping(), settings.instance)


def workers(settings: TransformerSettings, keys: HashKeys) -> WorkersFor:
    """What the transformer does for a dataset."""
    registry, way = Registry(settings.registry_url), RightOfWay()

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        return (partial(worker_for, dataset, settings, registry, keys, way),)

    return workers_for


def worker_for(
    dataset: LiveDataset,
    settings: TransformerSettings,
    registry: Registry,
    keys: HashKeys,
    way: RightOfWay | None = None,
) -> Transforming:
    """The worker from staged to transformed. Errors: Transient, Fatal when its key cannot be had."""
    hash_key = keys.of(dataset)
    engine = Engine(settings.transform_memory)
    stage = Transform(engine, dataset.contract, dataset.version, hash_key)
    wanted = needed(compile_transform(dataset.contract), dataset.contract.checks)
    references = References(settings.connection(), registry, engine, wanted)
    return Transforming(pump_for(dataset, settings, registry, stage, references, way), engine, references)


def trials(settings: TransformerSettings, keys: HashKeys) -> Trials:
    """Who says what would become of rows."""
    registry = Registry(settings.registry_url)
    return Trials(settings.connection(), registry, _opens_stages(settings, registry, keys))


def back_tests(settings: TransformerSettings, keys: HashKeys) -> BackTests:
    """Who says what another version would make of rows."""
    registry = Registry(settings.registry_url)
    opens = _opens_stages(settings, registry, keys)
    return BackTests(settings.connection(), registry, opens, settings.transform_memory)


def _opens_stages(settings: TransformerSettings, registry: Registry, keys: HashKeys) -> OpenStage:
    def open_stage(dataset: LiveDataset) -> tuple[Transform, Callable[[], None]]:
        hash_key = keys.of(dataset)
        engine = Engine(settings.transform_memory)
        wanted = needed(compile_transform(dataset.contract), dataset.contract.checks)
        references = References(settings.connection(), registry, engine, wanted)

        def give_back() -> None:
            references.close()
            engine.close()

        try:
            refreshed(references.refresh, len(wanted))
            stage = Transform(engine, dataset.contract, dataset.version, hash_key)
            prepare(dataset, registry, stage)
        except BaseException:
            give_back()
            raise
        return stage, give_back

    return open_stage


def refreshed(refresh: Callable[[], None], parents: int) -> None:
    """Read the reference data of so many datasets, anew each time that one of them turns out to need another shape.

    Errors: Transient, Fatal.
    """
    for left in reversed(range(parents + 1)):
        try:
            refresh()
            return
        except Transient:
            if not left:
                raise


def pump_for(
    dataset: LiveDataset,
    settings: TransformerSettings,
    registry: Registry,
    stage: Transform,
    references: References,
    way: RightOfWay | None = None,
) -> Pump:
    """The pump from staged to transformed."""
    return kafka_pump(
        dataset,
        settings,
        registry,
        stage,
        topics.staged(dataset.name),
        {MAIN: topics.transformed(dataset.name, dataset.generation)},
        before_batch=partial(make_ready, dataset, registry, stage, references),
        way=way,
    )


def make_ready(dataset: LiveDataset, registry: Registry, stage: Transform, references: References) -> None:
    """Bring reference data up to date, and before the first batch publish the schema that its rows will have.

    The schema does not depend on rows: it is there for those who wait for it even if every row is filtered.
    """
    references.refresh()
    if stage.output is None and (published := prepare(dataset, registry, stage)) is not None:
        subject = topics.subject(topics.transformed(dataset.name, dataset.generation))
        registry.register(subject, avro_schema(published, dataset.name))


def prepare(dataset: LiveDataset, registry: Registry, stage: Transform) -> pa.Schema | None:
    """Get the stage ready for rows of every column that is known, so that an older row may lack some.

    Returns the schema that is published; None where no row was staged yet. Errors: Transient, Fatal.
    """
    staged = registry.latest(topics.subject(topics.staged(dataset.name)))
    return None if staged is None else stage.prepare(Codec(staged[1]).arrow_schema)
