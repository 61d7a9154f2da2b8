"""What is said of a source's columns before any row of it was published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.ingest.core.drift import Evolution
from services.ingest.core.json_rows import Infer, parse_lines


@dataclass(frozen=True, slots=True)
class Typing:
    """What a dataset file says of the columns. Units: bytes."""

    declared: Mapping[str, pa.DataType]
    evolution: Evolution
    max_record_bytes: int


def first_schema(lines: Sequence[bytes], typing: Typing, infer: Infer) -> pa.Schema:
    """The columns of a dataset that has none yet: the declared ones, and those of its first rows."""
    objects = parse_lines([line for line in lines if len(line) <= typing.max_record_bytes])[0].values()
    rest = [{name: value for name, value in found.items() if name not in typing.declared} for found in objects]
    found = infer(rest) if typing.evolution == "evolve" or not typing.declared else pa.schema([])
    return pa.schema([*(pa.field(name, kind) for name, kind in typing.declared.items()), *found])
