"""Wires the transformer: for each dataset a pump from staged to transformed, with the datasets it refers to at hand."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from headrace.contract import compile_transform, waiting_checks
from headrace.errors import Transient
from headrace.stream import topics
from headrace.stream.codec import Codec, avro_schema
from headrace.stream.kafka import KafkaSource
from headrace.stream.overrides import Decisions
from headrace.stream.pump import Pump, Source, Work
from headrace.stream.registry import Registry
from headrace.stream.right_of_way import RightOfWay
from headrace.stream.service import LIVE, LiveDataset, Worker, WorkersFor
from headrace.stream.stage import MAIN, Stage
from headrace.stream.wiring import kafka_pump
from headrace.transform.engine import Engine
from headrace.transform.in_range import InRange
from headrace.transform.reference import needed
from headrace.transform.sandbox import Sandbox
from headrace.transform.skipping import Skipping
from headrace.transform.stage import Transform
from headrace.transform.store import Store
from headrace.transform.uniques import seen_for
from services.transformer.adapters.arrivals import Arrivals
from services.transformer.adapters.back_tests import BackTests
from services.transformer.adapters.hash_keys import HashKeys
from services.transformer.adapters.known_overrides import KnownOverrides
from services.transformer.adapters.lake_first import LakeFirst, Landed
from services.transformer.adapters.published_before import PublishedBefore
from services.transformer.adapters.references import References
from services.transformer.adapters.seams import Seams
from services.transformer.adapters.stores import Stores
from services.transformer.adapters.trials import OpenStage, Trials
from services.transformer.adapters.waiting import ParkedTopic, RestingSource, WaitingSource
from services.transformer.settings import TransformerSettings

#: The generation that a dataset begins with.
FIRST = 1


@dataclass(frozen=True, slots=True)
class Transforming:
    """A pump, and what it alone uses: given back when it ends."""

    pump: Pump
    engine: Engine
    references: References
    before: PublishedBefore | None

    @property
    def name(self) -> str:
        return self.pump.name

    def run(self, stopping: threading.Event) -> None:
        """See `headrace.stream.service.Worker.run`."""
        try:
            self.pump.run(stopping)
        finally:
            with ExitStack() as given_back:
                for each in (self.before, self.references, self.engine):
                    if each is not None:
                        given_back.callback(each.close)


def hash_keys(settings: TransformerSettings) -> HashKeys:
    """The keys of transforms. Errors: Fatal when the master keys are set wrongly."""
    registry = Registry(settings.registry_url)
    return HashKeys(settings.connection(), registry, settings.key_wrapping(), settings.instance)


def known_overrides(settings: TransformerSettings) -> KnownOverrides:
    """What people decided about rows."""
    return KnownOverrides(settings.connection(), Registry(settings.registry_url))


def workers(settings: TransformerSettings, keys: HashKeys, overrides: KnownOverrides) -> WorkersFor:
    """What the transformer does for a dataset."""
    registry, way = Registry(settings.registry_url), RightOfWay()
    shutil.rmtree(seen_folder(settings), ignore_errors=True)  # of a process before this one that was killed
    Stores.of_settings(settings).begin()

    def workers_for(dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        return (partial(worker_for, dataset, settings, registry, keys, overrides, way),)

    return workers_for


def worker_for(
    dataset: LiveDataset,
    settings: TransformerSettings,
    registry: Registry,
    keys: HashKeys,
    overrides: KnownOverrides,
    way: RightOfWay | None = None,
) -> Transforming:
    """The worker from staged to transformed. Errors: Transient, Fatal when its key cannot be had."""
    hash_key = keys.of(dataset)
    wanted = needed(compile_transform(dataset.contract), dataset.contract.checks)
    store = Stores.of_settings(settings).of(dataset.name, dataset.generation)
    if not wanted:
        store.discard()  # of a version that referred to others
    with ExitStack() as given_back:  # where it cannot be built it is tried again and again
        engine = given_back.enter_context(closing(_sandbox(settings, store if wanted else None)))
        seen = seen_for(dataset.contract.checks, seen_folder(settings))
        if seen is not None:
            given_back.callback(seen.close)
        decisions = overrides.about(dataset)
        asked = decisions if dataset.role == LIVE else None  # nobody decides about rows that readers do not see
        stage = Transform(engine, dataset.contract, dataset.version, hash_key, seen, asked)
        references = References(settings.connection(), registry, engine, wanted)
        arrivals = Arrivals(engine, references, dataset.contract)
        before = None if seen is None else PublishedBefore(settings.connection(), registry, dataset, seen)
        pump = pump_for(dataset, settings, registry, stage, references, before, decisions, arrivals, way)
        given_back.pop_all()
        return Transforming(pump, engine, references, before)


def seen_folder(settings: TransformerSettings) -> Path:
    """Where the values are kept that rows may not share: written anew by every process."""
    return settings.data_dir / f"transformer-{settings.instance}-seen"


def _sandbox(settings: TransformerSettings, store: Store | None) -> Sandbox:
    return Sandbox(settings.transform_memory, settings.transform_time_limit_s, store=store)


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
        wanted = needed(compile_transform(dataset.contract), dataset.contract.checks)
        engine = _sandbox(settings, Stores.of_settings(settings).aside() if wanted else None)
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
    before: PublishedBefore | None,
    decisions: Decisions,
    arrivals: Arrivals,
    way: RightOfWay | None = None,
) -> Pump:
    """The pump from staged to transformed."""
    waiting = _Waiting(dataset, settings, registry, arrivals)
    return kafka_pump(
        dataset,
        settings,
        registry,
        _ranged(dataset, Skipping(stage, decisions)),
        topics.staged(dataset.name),
        {MAIN: topics.transformed(dataset.name, dataset.generation)},
        before_batch=partial(make_ready, dataset, registry, stage, references, before),
        parked=topics.parked(dataset.name, dataset.generation),
        around_source=lambda source: waiting.around(_over_the_lake(source, dataset, settings, registry)),
        on_work=waiting.note,
        way=way,
    )


def _ranged(dataset: LiveDataset, stage: Stage) -> Stage:
    begin, end = dataset.ingested_from, dataset.ingested_to
    return stage if begin is None and end is None else InRange(stage, begin, end)


def _over_the_lake(
    source: KafkaSource, dataset: LiveDataset, settings: TransformerSettings, registry: Registry
) -> RestingSource:
    """A generation that was made by a replay begins with the first record there ever was, wherever it is kept."""
    if dataset.generation == FIRST:
        return source

    def landed() -> Landed:
        from services.transformer.adapters.landed_records import LandedRecords  # Iceberg: 30 MB, and seldom needed

        return LandedRecords(settings, registry, dataset.name)

    return LakeFirst(source, topics.raw(dataset.name), Seams(settings.connection(), registry, dataset.name), landed)


class _Waiting:
    """The wiring of rows that wait. A dataset whose rows never did reads its topic as it is."""

    def __init__(
        self, dataset: LiveDataset, settings: TransformerSettings, registry: Registry, arrivals: Arrivals
    ) -> None:
        self._waits = bool(waiting_checks(dataset.contract.checks))
        self._parked = ParkedTopic(settings.connection(), registry, dataset)
        self._arrivals = arrivals
        self._source: WaitingSource | None = None

    def around(self, source: RestingSource) -> Source:
        """Errors: Transient."""
        if not self._waits and not self._parked.exists():
            return source
        self._source = WaitingSource(source, self._parked, self._arrivals, lambda: time.time_ns() // 1_000_000)
        return self._source

    def note(self, work: Work) -> None:
        """See `WaitingSource.note`."""
        if self._source is not None:
            self._source.note(work)


def make_ready(
    dataset: LiveDataset,
    registry: Registry,
    stage: Transform,
    references: References,
    before: PublishedBefore | None,
    epoch: int,
) -> None:
    """Bring reference data and what went on before up to date, and before the first batch publish the schema of its rows.

    The schema does not depend on rows: it is there for those who wait for it even if every row is filtered.
    """
    references.refresh()
    if stage.output is None and (published := prepare(dataset, registry, stage)) is not None:
        subject = topics.subject(topics.transformed(dataset.name, dataset.generation))
        registry.register(subject, avro_schema(published, dataset.name))
    if before is not None and stage.output is not None:
        before.refresh(epoch, stage)


def prepare(dataset: LiveDataset, registry: Registry, stage: Transform) -> pa.Schema | None:
    """Get the stage ready for rows of every column that is known, so that an older row may lack some.

    Returns the schema that is published; None where no row was staged yet. Errors: Transient, Fatal.
    """
    staged = registry.latest(topics.subject(topics.staged(dataset.name)))
    return None if staged is None else stage.prepare(Codec(staged[1]).arrow_schema)
