"""A source that counts to a number. Put your own in its place."""

import json
from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
from pydantic import Field

from headrace.connector import Connector, Fetched, SourceSettings, Step, Stream, Surroundings

SCHEMA = pa.schema([("number", pa.int64()), ("square", pa.int64())])


class CounterSource(SourceSettings):
    """Numbers from 1, with their squares."""

    type: Literal["counter"] = Field(description="The connector.")
    upto: int = Field(description="The last number; raise it, and counting goes on.")


class Counter:
    """See `headrace.connector.Connector`. A position is the last number that was read."""

    waiting = False

    def __init__(self, source: CounterSource, batch_rows: int) -> None:
        self._upto = source.upto
        self._batch_rows = batch_rows

    def check(self) -> Iterator[Step]:
        """See `Connector.check`."""
        if self._upto < 1:
            yield Step("count", False, f"there is no number from 1 to {self._upto}", "source.upto", "raise it")
        else:
            yield Step("count", True, f"{self._upto} numbers")

    def discover(self) -> list[Stream]:
        """See `Connector.discover`."""
        return [Stream("numbers", SCHEMA, keys=("number",), cursors=("number",))]

    def read(self, position: str | None) -> Iterator[tuple[Fetched, str]]:
        """See `Connector.read`."""
        last: int = json.loads(position) if position else 0
        while last < self._upto:
            numbers = range(last + 1, min(last + self._batch_rows, self._upto) + 1)
            rows = {"number": list(numbers), "square": [number * number for number in numbers]}
            last = numbers[-1]
            yield Fetched(pa.RecordBatch.from_pydict(rows, schema=SCHEMA)), json.dumps(last)


def opened(source: CounterSource, surroundings: Surroundings) -> Connector:
    """The connector of a source."""
    return Counter(source, surroundings.batch_rows)
