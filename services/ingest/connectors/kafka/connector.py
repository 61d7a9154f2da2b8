"""The `kafka` connector: a topic of any cluster, read partition by partition up to the ends it has at the moment.

Nothing is written in that cluster: the position is kept by ingest, beside the rows.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from headrace.connector import Fetched, SourceRow, Step, Stream, Stretch, Surroundings
from headrace.errors import Fatal, Transient
from headrace.secrets.reference import resolved
from services.ingest.connectors.folders import Folders
from services.ingest.connectors.kafka import offsets
from services.ingest.connectors.kafka.avro import WireDecoder, bare_decoder
from services.ingest.connectors.kafka.cluster import Cluster
from services.ingest.connectors.kafka.metadata import Metadata
from services.ingest.connectors.kafka.offsets import Bounds, Gap, Offsets
from services.ingest.connectors.kafka.registry import Denials, ForeignRegistry
from services.ingest.connectors.kafka.servers import servers_of
from services.ingest.connectors.kafka.settings import Encoding, KafkaSource, RegistryOptions
from services.ingest.connectors.kafka.tombstones import DeletingDecoder, SkippingDecoder, moved
from services.ingest.connectors.kafka.topic import Messages, NoTopic, Topic
from services.ingest.connectors.kafka.values import Decoded, Decoder, JsonDecoder, PlainDecoder
from services.ingest.core.faults import Fault

log = logging.getLogger(__name__)

_SAMPLE_ROWS: Final = 1000
_KEPT_BYTES: Final = 64 << 10  # of a message over the cap: enough to recognise it
_NOTHING: Final = pa.schema([])


class KafkaConnector:
    """See `headrace.connector.Connector`. A position says of each partition which offset is read next.

    What messages mean is the decoder's business: another connector can bring its own.
    """

    def __init__(self, source: KafkaSource, topic: Topic, decoder: Decoder, surroundings: Surroundings) -> None:
        self._source = source
        self._topic = topic
        self._decoder = decoder
        self._metadata = Metadata(source.metadata.named)
        self._batch_rows = surroundings.batch_rows
        self._schema = surroundings.schema
        self._held: dict[int, int] = {}
        self.waiting = False

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        sasl = self._source.sasl
        trying, field = "resolve", "source.bootstrap_servers"
        try:
            yield Step(trying, True, self._topic.cluster.resolve())
            trying, field = "connect", "source.bootstrap_servers"
            yield Step(trying, True, self._topic.cluster.greet())
            trying, field = "authenticate", "source.sasl" if sasl is not None else "source.security"
            brokers = self._topic.brokers()
            yield Step(trying, True, f"read as {sasl.username}" if sasl is not None else "nobody has to say who reads")
            trying, field = "brokers", "source.bootstrap_servers"
            self._topic.cluster.check_advertised(brokers)
            yield Step(trying, True, f"{len(brokers)} brokers: {', '.join(map(str, brokers))}")
            trying, field = "list", "source.topic"
            bounds = self._topic.bounds(self._topic.partitions())
            count = sum(each.high - each.low for each in bounds.values())
            yield Step(trying, True, f"{self._topic.name} has {len(bounds)} partitions with up to {count} messages")
            trying, field = "read", "source.topic"
            sample = self._sample(self._started(bounds), bounds)
            yield Step(trying, True, f"{len(sample)} messages read as a sample")
            trying, field = "infer", "source.value"
            yield self._inferred(sample)
        except (Fatal, Transient) as error:
            yield Step(trying, False, str(error), field)

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        bounds = self._topic.bounds(self._topic.partitions())
        schema = self._fetched(self._sample(self._started(bounds), bounds)).rows.schema
        return [Stream(self._topic.name, schema, tuple(self._source.key.columns) if self._source.key else ())]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`."""
        bounds = self._topic.bounds(self._there(position is not None))
        at = self._resumed(offsets.from_json(position), bounds)
        yield from self._up_to({partition: each.high for partition, each in bounds.items()}, at, bounds, position)

    def read_range(self, stretch: Stretch, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Ranged.read_range`. In each partition, it begins with the first message that is not older than the stretch, and
        ends in front of the first that is not older than its end.
        """
        bounds = self._topic.bounds(self._there(True))
        first, ends = (self._not_before(int(at.timestamp() * 1000), bounds) for at in (stretch.since, stretch.until))
        at = {number: max(offset, first[number]) for number, offset in (offsets.from_json(position) or first).items()}
        ends = {number: max(end, at[number]) for number, end in ends.items() if number in at}
        yield from self._up_to(ends, at, bounds, position)

    def _not_before(self, time_ms: int, bounds: Mapping[int, Bounds]) -> dict[int, int]:
        """The first offset of each partition that is not older than a moment; its end where there is none."""
        found = self._topic.at(list(bounds), time_ms)
        return {number: bounds[number].high if offset < 0 else offset for number, offset in found.items()}

    def _up_to(
        self, ends: Offsets, at: dict[int, int], bounds: dict[int, Bounds], position: str | None
    ) -> Iterator[tuple[Fetched, str]]:
        """The messages in front of some ends."""
        self._held = {}
        self.waiting = False
        if self._schema is None and offsets.left(at, ends):
            self._pin(self._sample(at, bounds))
        given = position
        for messages, behind in self._topic.read(at, ends, self._batch_rows, self._lost):
            fetched = self._fetched(messages, reading=True)
            reached = offsets.to_json({**behind, **self._held})
            if fetched.rows_read or reached != given:
                yield fetched, (given := reached)
            at = behind
        if (reached := offsets.to_json({**at, **self._held})) != given:
            yield self._fetched(self._nothing()), reached

    def _there(self, known: bool) -> Sequence[int]:
        """The partitions. A topic that was read before may be away for a while; one that never was is a mistake."""
        try:
            return self._topic.partitions()
        except NoTopic as error:
            if known:
                raise Transient(f"{error}; it was read before") from error
            raise

    def _started(self, bounds: dict[int, Bounds]) -> dict[int, int]:
        """Where the first reading starts."""
        if self._source.start_ms is not None:
            return self._not_before(self._source.start_ms, bounds)
        first = self._source.start == "earliest"
        return {number: each.low if first else each.high for number, each in bounds.items()}

    def _resumed(self, position: Offsets | None, bounds: dict[int, Bounds]) -> dict[int, int]:
        """Where to read on. What was lost is never passed over in silence; partitions that are new are read from their start."""
        if position is None:
            return self._started(bounds)
        found = offsets.gaps(position, bounds)
        if beyond := [gap.partition for gap in found if gap.start > gap.bounds.high and gap.partition in bounds]:
            # An end in front of an open transaction is not the end of what there is.
            ends = self._topic.last_ends(beyond)
            found = offsets.gaps(
                position, bounds | {number: Bounds(bounds[number].low, ends[number]) for number in beyond}
            )
        for gap in found:
            self._lost(gap)
        low = {number: each.low for number, each in bounds.items()}
        return {number: offset for number, offset in {**low, **position}.items() if number in bounds} | {
            gap.partition: gap.resume for gap in found if gap.partition in bounds
        }

    def _lost(self, gap: Gap) -> None:
        """Errors: Fatal unless the source says to go on."""
        what = f"{self._topic.name} of {self._topic.cluster.address}: {gap}"
        if self._source.on_lost == "stop":
            raise Fatal(
                f"{what}; set source.on_lost: continue to go on at offset {gap.resume} with what is left, and let the topic "
                "keep its messages for longer"
            )
        log.error("%s; reading goes on at offset %d", what, gap.resume)

    def _sample(self, at: Offsets, bounds: dict[int, Bounds]) -> Messages:
        """Some messages from these offsets on, or the last ones where there are none."""
        share = max(1, _SAMPLE_ROWS // max(1, len(bounds)))
        ends = {number: each.high for number, each in bounds.items()}
        if not offsets.left(at, ends):
            at = {number: max(each.low, each.high - share) for number, each in bounds.items()}
        parts: list[Messages] = []
        reading = self._topic.read(at, ends, _SAMPLE_ROWS)
        for messages, _ in reading:
            parts.append(messages)
            if sum(map(len, parts)) >= _SAMPLE_ROWS:
                break
        reading.close()
        return Messages.joined(parts) if parts else self._nothing()

    def _nothing(self) -> Messages:
        return self._topic.nothing()

    def _pin(self, sample: Messages) -> None:
        """Take the columns of the source from a sample, if it shows any."""
        small, _ = self._sized(sample)
        found = self._decoder.sample(sample.take(small))
        if len(found):
            self._schema = pa.schema([*found, *self._metadata.fields])

    def _inferred(self, sample: Messages) -> Step:
        """Whether the sample can be decoded."""
        fetched = self._fetched(sample)
        if len(sample) and not fetched.rows.num_rows:
            first = fetched.rejected[0].detail if fetched.rejected else "the registry denies their schemas for now"
            what = f"none of {len(sample)} messages can be decoded: {first}"
            return Step("infer", False, what, "source.value", "say how the values are written")
        names = ", ".join(fetched.rows.schema.names) or "no message yet, the columns will be those of the first"
        aside = f"; {len(fetched.rejected)} of {len(sample)} messages would be set aside" if fetched.rejected else ""
        return Step("infer", True, f"{len(fetched.rows.schema)} columns: {names}{aside}")

    def _fetched(self, messages: Messages, *, reading: bool = False) -> Fetched:
        """The rows of some messages. Those of a partition from the first on that has to wait are left for later."""
        if self._schema is None:
            self._pin(messages)
        decoded = self._decoded(messages)
        while decoded.held:
            messages = self._before(messages, decoded.held, reading)
            decoded = self._decoded(messages)
        own = pa.schema([field for field in decoded.rows.schema if not field.name.startswith("_")])
        if len(self._metadata.without(own)):
            self._schema = own
        return Fetched(decoded.rows, tuple(self._set_aside(messages, decoded, fault) for fault in decoded.faults))

    def _decoded(self, messages: Messages) -> Decoded:
        small, faults = self._sized(messages)
        own = self._metadata.without(self._schema) if self._schema is not None else _NOTHING
        found = moved(self._decoder.decode(messages.take(small), own), np.array(small, np.int64))
        every = sorted([*found.faults, *faults], key=lambda fault: fault.row)
        return self._metadata.beside(Decoded(found.rows, found.index, every, found.held), messages, self._schema)

    def _sized(self, messages: Messages) -> tuple[list[int], list[Fault]]:
        """The messages that are not over the cap, and why the others are set aside."""
        cap = self._source.max_record_bytes
        sizes = [0 if value is None else len(value) for value in messages.records.values]
        if not sizes or max(sizes) <= cap:
            return list(range(len(sizes))), []
        faults = [
            Fault(
                row,
                "too_large",
                f"the value has {size} bytes, the cap is {cap}; at most {_KEPT_BYTES} bytes are kept here",
            )
            for row, size in enumerate(sizes)
            if size > cap
        ]
        return [row for row, size in enumerate(sizes) if size <= cap], faults

    def _before(self, messages: Messages, held: Sequence[int], reading: bool) -> Messages:
        """The messages in front of those that have to wait; behind them nothing more is read of their partitions."""
        partition = messages.records.partition.to_numpy()
        kept = np.ones(len(messages), bool)
        for number in map(int, np.unique(partition[list(held)])):
            first = next(row for row in held if partition[row] == number)
            kept &= (partition != number) | (np.arange(len(messages)) < first)
            if reading:
                self._held[number] = messages.records.offset[first].as_py()
                self._topic.hold(number)
                self.waiting = True
                log.warning("%s waits for its schema, which the registry denies", messages.place(first))
        return messages.take(np.flatnonzero(kept).tolist())

    @staticmethod
    def _set_aside(messages: Messages, decoded: Decoded, fault: Fault) -> SourceRow:
        value, key = messages.records.values[fault.row], messages.records.keys[fault.row]
        raw = value if value is not None else key or b""
        kept = raw[:_KEPT_BYTES] if fault.reason == "too_large" else raw
        behind = int(np.searchsorted(decoded.index, fault.row))
        return SourceRow(kept, fault.reason, fault.detail, messages.place(fault.row), fault.column, behind=behind)


def opened(source: KafkaSource, surroundings: Surroundings) -> KafkaConnector:
    """The connector of a topic. Errors: Fatal when a schema is none, or a file may not be read."""
    decoder = _decoder(source.value, source.value.column, surroundings)
    if source.key is not None:
        column = source.key.columns[0]
        keys = _decoder(source.key, column, surroundings)
        decoder = DeletingDecoder(decoder, keys, source.key.columns)
    else:
        decoder = SkippingDecoder(decoder)
    return KafkaConnector(source, topic_of(source, surroundings), decoder, surroundings)


def topic_of(source: KafkaSource, surroundings: Surroundings) -> Topic:
    """The topic of a source. Errors: Fatal when a file may not be read."""
    sasl = source.sasl
    cluster = Cluster(
        servers_of(source.bootstrap_servers),
        surroundings.targets,
        reader=f"headrace-{surroundings.dataset}",
        security=source.security,
        sasl={} if sasl is None else {"sasl.mechanism": sasl.mechanism.upper(), "sasl.username": sasl.username},
        password=None if sasl is None else lambda: resolved(sasl.password, surroundings.secret),
        ca_file=_file(source.ca_file, surroundings),
    )
    return Topic(cluster, source.topic, source.isolation, headers="headers" in source.metadata.named)


def _decoder(encoding: Encoding, column: str, surroundings: Surroundings) -> Decoder:
    declared, evolution = surroundings.declared, surroundings.evolution
    if encoding.format == "json":
        return JsonDecoder(declared, evolution)
    if encoding.format != "avro":
        return PlainDecoder(column, encoding.format == "string", declared)
    if encoding.avro_schema is not None:
        return bare_decoder(encoding.avro_schema, declared, evolution, column)
    assert encoding.registry is not None  # the settings have one of both
    options = encoding.registry
    return WireDecoder(_registry(options, surroundings), Denials(options.patience_s), declared, evolution, column)


def _registry(options: RegistryOptions, surroundings: Surroundings) -> ForeignRegistry:
    password = options.password
    return ForeignRegistry(
        options.url,
        surroundings.targets,
        options.username,
        None if password is None else lambda: resolved(password, surroundings.secret),
        _file(options.ca_file, surroundings),
    )


def _file(name: str | None, surroundings: Surroundings) -> str | None:
    """The path of a local file. Errors: Fatal when it may not be read, or is not there."""
    if name is None:
        return None
    path = surroundings.folder / name
    Folders(surroundings.folder, surroundings.further_folders).check(path)
    if not path.is_file():
        raise Fatal(f"there is no file {path}")
    return str(path)
