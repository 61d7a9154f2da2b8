"""What is said of a source's columns before any row of it was published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from services.ingest.core.drift import Evolution
from services.ingest.core.json_rows import Infer, parse_lines


@dataclass(frozen=True, slots=True)
class Typing:
    """What a dataset file says of the columns. `alone`: no others may come beside the declared ones. Units: bytes."""

    declared: Mapping[str, pa.DataType]
    evolution: Evolution
    max_record_bytes: int
    alone: bool = False


def first_schema(lines: Sequence[bytes], typing: Typing, infer: Infer) -> pa.Schema:
    """The columns of a dataset that has none yet: the declared ones, and those of its first rows unless these stand alone."""
    objects = parse_lines([line for line in lines if len(line) <= typing.max_record_bytes])[0].values()
    rest = [{name: value for name, value in found.items() if name not in typing.declared} for found in objects]
    found = pa.schema([]) if typing.alone else infer(rest)
    return pa.schema([*(pa.field(name, kind) for name, kind in typing.declared.items()), *found])
