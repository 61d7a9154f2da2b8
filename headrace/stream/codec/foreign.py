"""The slow path: schemas that pyruhvro cannot do, through fastavro, one record at a time.

Own topics never need it. It serves topics that others write: real Avro bytes, fixed and decimal, unions of
several types, recursive and very deep schemas.
"""

import base64
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import fastavro
import pyarrow as pa
from fastavro import _read_py

from headrace.stream.codec.arrow import Array
from headrace.stream.codec.leaves import Leaf
from headrace.stream.codec.shape import Again, ListOf, MapOf, Shape, StructOf
from headrace.stream.codec.wire import BAD_BYTES, HEADER, header


class Foreign:
    """Reads and writes the messages of one schema."""

    def __init__(self, top: StructOf) -> None:
        self._top = top
        self._schema = fastavro.parse_schema(top.avro)
        self._records = {
            shape.avro["name"]: shape for shape in _shapes(top) if isinstance(shape, StructOf) and not shape.union
        }
        recursive = any(isinstance(shape, Again) for shape in _shapes(top))
        # The compiled reader recurses on the C stack: a deeply nested record would kill the process.
        self._reader: Callable[..., Any] = _read_py.schemaless_reader if recursive else fastavro.schemaless_reader

    def read(self, values: Sequence[bytes]) -> list[Array]:
        """The plain column arrays of all `values`. Errors: ValueError when any of them is bad."""
        try:
            records = [self._record(value) for value in values]
            return [
                pa.array([record[member.avro_name] for record in records], type=member.slot.shape.plain)
                for member in self._top.carried
            ]
        except BAD_BYTES as error:
            raise ValueError(f"not a record of the schema: {error or type(error).__name__}") from error

    def _record(self, value: bytes) -> Any:
        if len(value) < HEADER.size or value[0] != 0:
            raise ValueError("the first byte is not the wire format's zero")
        body = io.BytesIO(value)
        body.seek(HEADER.size)
        record = self._reader(body, self._schema, None, return_record_name=True, return_record_name_override=True)
        if body.tell() != len(value):
            raise ValueError("bytes are left over at the end of the record")
        return self._outward(record, self._top)

    def _outward(self, value: Any, shape: Shape) -> Any:
        """What fastavro read, as pyarrow takes it: unions as structs, recursion as JSON text."""
        if value is None or isinstance(shape, Leaf):
            return value
        if isinstance(shape, Again):
            return json.dumps(self._outward(value, self._records[shape.record]), default=_text_of_bytes)
        if isinstance(shape, ListOf):
            return [self._outward(item, shape.item.shape) for item in value]
        if isinstance(shape, MapOf):
            return self._outward_map(value, shape)
        if shape.union:
            branch, wrapped = value
            return {
                member.avro_name: self._outward(wrapped["v"], member.slot.shape)
                for member in shape.members
                if member.avro_name == branch
            }
        return {member.avro_name: self._outward(value[member.avro_name], member.slot.shape) for member in shape.carried}

    def _outward_map(self, value: Any, shape: MapOf) -> Any:
        if isinstance(value, dict):
            return {key: self._outward(item, shape.value.shape) for key, item in value.items()}
        key, item = (field.name for field in shape.plain.value_type.fields)
        return [
            {key: self._outward(entry[key], shape.key.shape), item: self._outward(entry[item], shape.value.shape)}
            for entry in value
        ]

    def write(self, columns: Sequence[Array], rows: int, schema_id: int) -> list[bytes]:
        """One message for each row. Errors: ValueError for a value the schema does not allow."""
        names = [member.avro_name for member in self._top.carried]
        batch = pa.RecordBatch.from_arrays(list(columns), names=names)
        records = batch.to_pylist(maps_as_pydicts="strict") if names else [{}] * rows
        return [self._message(record, schema_id) for record in records]

    def _message(self, record: Any, schema_id: int) -> bytes:
        message = io.BytesIO()
        message.write(header(schema_id))
        try:
            fastavro.schemaless_writer(message, self._schema, self._inward(record, self._top))
        except (TypeError, KeyError, IndexError, OverflowError) as error:
            raise ValueError(f"a value does not fit the schema: {error}") from error
        return message.getvalue()

    def _inward(self, value: Any, shape: Shape) -> Any:
        """What pyarrow yields, as fastavro writes it."""
        if value is None or isinstance(shape, Leaf | Again):
            return value
        if isinstance(shape, ListOf):
            return [self._inward(item, shape.item.shape) for item in value]
        if isinstance(shape, MapOf):
            if isinstance(value, dict):
                return {key: self._inward(item, shape.value.shape) for key, item in value.items()}
            key, item = (field.name for field in shape.plain.value_type.fields)
            return [
                {key: self._inward(entry[key], shape.key.shape), item: self._inward(entry[item], shape.value.shape)}
                for entry in value
            ]
        if shape.union:
            return self._branch(value, shape)
        return {member.avro_name: self._inward(value[member.avro_name], member.slot.shape) for member in shape.carried}

    def _branch(self, value: Any, shape: StructOf) -> Any:
        present = [member for member in shape.members if value[member.avro_name] is not None]
        if len(present) != 1:
            raise ValueError(f"a union has {len(present)} of its members set; exactly one must be")
        (member,) = present
        return member.avro_name, {"v": self._inward(value[member.avro_name], member.slot.shape)}


def _shapes(shape: Shape) -> list[Shape]:
    """The shape and everything below it."""
    if isinstance(shape, ListOf):
        return [shape, *_shapes(shape.item.shape)]
    if isinstance(shape, MapOf):
        return [shape, *_shapes(shape.key.shape), *_shapes(shape.value.shape)]
    if isinstance(shape, StructOf):
        return [shape, *(below for member in shape.members for below in _shapes(member.slot.shape))]
    return [shape]


def _text_of_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
