"""Puts a pump over Kafka together: the one way in which a stage of a dataset is wired."""

from collections.abc import Callable, Iterable, Mapping

from headrace.stream import topics
from headrace.stream.decode import Decoder
from headrace.stream.kafka import KafkaSink, KafkaSource, TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.outputs import Messages, Outputs
from headrace.stream.pump import Pump, Sink, Source, Work
from headrace.stream.registry import Registry
from headrace.stream.right_of_way import RightOfWay
from headrace.stream.service import LIVE, LiveDataset, ServiceSettings
from headrace.stream.stage import Stage


def kafka_pump(
    dataset: LiveDataset,
    settings: ServiceSettings,
    registry: Registry,
    stage: Stage,
    topic: str,
    ports: Mapping[str, str],
    *,
    extras: Callable[[Work], Iterable[Messages]] | None = None,
    around: Callable[[Sink], Sink] = lambda sink: sink,
    before_batch: Callable[[int], None] | None = None,
    around_source: Callable[[KafkaSource], Source] = lambda source: source,
    parked: str | None = None,
    on_work: Callable[[Work], None] | None = None,
    way: RightOfWay | None = None,
) -> Pump:
    """A pump that reads `topic`, and writes each port to its topic, and what is set aside to the dataset's quarantine.

    `around` wraps the Kafka sink, where something must be done before its transaction; `around_source` wraps the source, where
    more comes than its topic brings. `parked` is the topic of records that wait. `way` is shared by the pumps of a process that
    works on several generations.
    """
    connection = settings.connection()
    group = topics.group(stage.name, dataset.name, dataset.generation)
    writer = TransactionalWriter(
        connection,
        f"{group}.{settings.instance}",
        transaction_timeout_ms=settings.transaction_timeout_ms,
    )
    source = around_source(KafkaSource(connection, topic, group, session_timeout_ms=settings.session_timeout_ms))
    if way is not None:
        source = way.leading(source) if dataset.role == LIVE else way.yielding(source)
    outputs = Outputs(registry, ports, topics.quarantine(dataset.name), parked=parked, extras=extras)
    return Pump(
        Position(dataset.name, dataset.generation, dataset.version, stage.name, settings.instance),
        source,
        Decoder(registry),
        stage,
        around(KafkaSink(writer, outputs)),
        max_rows=settings.max_batch_rows,
        before_batch=before_batch,
        on_work=on_work,
    )
