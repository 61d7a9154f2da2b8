"""How the bytes of messages become rows: what a decoder is, and those for text and JSON. `avro` has the one for Avro."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.ingest.adapters.sniffer import object_types
from services.ingest.connectors.kafka.topic import Messages
from services.ingest.core.drift import Evolution
from services.ingest.core.faults import Fault
from services.ingest.core.json_rows import parse_lines, read_lines
from services.ingest.core.lines import Int64s
from services.ingest.core.tables import Conformed, conformed

_WIRE_HEADER_BYTES = 5


@dataclass(frozen=True, slots=True)
class Decoded:
    """What messages became.

    Shapes: `rows` has m rows, and `index` says of which message each is, ascending. `faults` name messages that cannot
    become rows, `held` those nobody can say anything of yet. A message that is in none of them is passed over.
    """

    rows: pa.RecordBatch
    index: Int64s
    faults: Sequence[Fault] = ()
    held: Sequence[int] = field(default=())


class Decoder(Protocol):
    """Makes rows of messages. A connector that reads messages of another kind brings its own.

    Errors: Transient when what it needs beside the messages cannot be had now; Fatal.
    """

    def sample(self, messages: Messages) -> pa.Schema:
        """The columns that some messages show; none when they show none."""
        ...

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """The rows in messages, in `schema` with new columns at its end where it evolves."""
        ...


def values_of(messages: Messages) -> list[bytes]:
    """The values of messages all of which have one."""
    return [value if value is not None else b"" for value in messages.records.values]


@dataclass(frozen=True, slots=True)
class JsonDecoder:
    """A value is a JSON object, perhaps behind the header of Confluent's wire format, whose zero no JSON begins with."""

    declared: Mapping[str, pa.DataType]
    evolution: Evolution

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`."""
        objects = parse_lines(self._texts(messages))[0].values()
        if not objects:
            return pa.schema([])
        rest = [{name: value for name, value in found.items() if name not in self.declared} for found in objects]
        return pa.schema([*object_types(rest), *(pa.field(name, kind) for name, kind in self.declared.items())])

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        found = read_lines(self._texts(messages), schema, self.evolution, object_types)
        return Decoded(found.rows, found.index, found.faults)

    @staticmethod
    def _texts(messages: Messages) -> list[bytes]:
        values = values_of(messages)
        return [value[_WIRE_HEADER_BYTES:] if value[:1] == b"\0" else value for value in values]


@dataclass(frozen=True, slots=True)
class PlainDecoder:
    """A value is the one column `name`, as text in UTF-8 or as bytes. A declared type is read from the text."""

    name: str
    text: bool
    declared: Mapping[str, pa.DataType]

    def sample(self, messages: Messages) -> pa.Schema:
        """See `Decoder.sample`."""
        del messages
        kind = pa.string() if self.text else pa.binary()
        return pa.schema([pa.field(self.name, self.declared.get(self.name, kind))])

    def decode(self, messages: Messages, schema: pa.Schema) -> Decoded:
        """See `Decoder.decode`."""
        values = values_of(messages)
        column, bad = texts(values) if self.text else (pa.array(values, pa.binary()), np.zeros(len(values), bool))
        index = np.flatnonzero(~bad)
        rows = pa.RecordBatch.from_arrays([column.take(pa.array(index, pa.int64()))], names=[self.name])
        found = conformed(rows, schema, self.declared, "evolve")
        unreadable = [Fault(int(at), "unreadable_row", "the bytes are not UTF-8") for at in np.flatnonzero(bad)]
        return placed(found, index, unreadable)


def texts(values: Sequence[bytes | None]) -> tuple[pa.StringArray, npt.NDArray[np.bool_]]:
    """Bytes as texts, and which of them are none (they are null)."""
    try:
        return cast(pa.StringArray, pa.array(values, pa.binary()).cast(pa.string())), np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        read = [None if value is None else _text(value) for value in values]
        bad = [text is None and value is not None for text, value in zip(read, values, strict=True)]
        return pa.array(read, pa.string()), np.array(bad, bool)


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def placed(found: Conformed, index: Int64s, faults: Sequence[Fault] = (), held: Sequence[int] = ()) -> Decoded:
    """What rows became that were of the messages at `index`, beside the faults of other messages."""
    wrong = [Fault(int(index[each.row]), each.reason, each.detail, each.column) for each in found.faults]
    kept = np.delete(index, [each.row for each in found.faults])
    return Decoded(found.rows, kept, sorted([*faults, *wrong], key=lambda fault: fault.row), held)
