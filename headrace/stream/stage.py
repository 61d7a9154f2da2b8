"""What a stage is: a pure function from a batch of rows to the fate of each of them.

Bad data is a value here (a `Rejection` with a registered reason). A stage that raises has met broken
infrastructure, or has a bug; the pump tells the two apart by the exception's class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import pyarrow as pa

MAIN: Final = "main"  # the port every stage has: the next topic in the flow


@dataclass(frozen=True, slots=True)
class Records:
    """n messages of one topic as they came, in the order they came.

    Shapes: every member has n entries. Units: milliseconds since the epoch.
    """

    topic: str
    partition: pa.Int32Array
    offset: pa.Int64Array
    timestamp_ms: pa.Int64Array
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    @classmethod
    def numbered(cls, topic: str, values: Sequence[bytes | None], timestamp_ms: int = 0, first: int = 0) -> "Records":
        """Values that come from no topic, as if from one: their offsets are their places, from `first` on. Shapes: n values."""
        count = len(values)
        return cls(
            topic,
            pa.array([0] * count, pa.int32()),
            pa.array(range(first, first + count), pa.int64()),
            pa.array([timestamp_ms] * count, pa.int64()),
            [None] * count,
            list(values),
        )

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: pa.Int64Array) -> "Records":
        """The records at `index`, in that order."""
        at: list[int] = index.to_numpy().tolist()
        return Records(
            self.topic,
            self.partition.take(index),
            self.offset.take(index),
            self.timestamp_ms.take(index),
            [self.keys[i] for i in at],
            [self.values[i] for i in at],
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """n records that share one writer schema, beside their decoded rows.

    Shapes: `raw` and `rows` both have n entries and are row-aligned; so has `since_ms`, which records have that were parked:
    when each began to wait. Units: milliseconds since the epoch.
    """

    raw: Records
    rows: pa.RecordBatch
    schema_id: int
    since_ms: pa.Int64Array | None = None


@dataclass(frozen=True, slots=True)
class Emitted:
    """Rows that go on through one port.

    Shapes: `row` has m entries, each the index of the input row that output row came from; ascending, so that
    order within a partition is kept. `rows` has m rows, or is None to forward the input's bytes unchanged
    (then no index may repeat).
    """

    row: pa.Int64Array
    rows: pa.RecordBatch | None
    port: str = MAIN


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one input row is quarantined. `reason` is a code of `headrace.stream.reasons`."""

    row: int
    reason: str
    detail: str
    rule: str | None = None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """Why one input row waits: for a row of `dataset` with `wanted` in its column `to`, `wait_s` from when it began to.

    `detail` is what would be said of it if it were rejected.
    """

    row: int
    rule: str
    column: str
    dataset: str
    to: str
    wanted: str
    detail: str
    wait_s: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of every input row: emitted (at least once, through one port or more), filtered by a named rule, quarantined, or
    parked until a row of another dataset is there.

    `held` is the first row that waits for a decision, if one does: then those in front of it are put to the stage once more by
    themselves, and the others of this outcome do not count.

    Errors: `headrace.stream.pump` refuses an outcome in which a row has no fate, or two.
    """

    emitted: tuple[Emitted, ...]
    filtered: Mapping[str, pa.Int64Array] = field(default_factory=dict)
    rejected: Sequence[Rejection] = ()
    parked: Sequence[Parked] = ()
    held: Rejection | None = None


class Stage(Protocol):
    """A pure function: no I/O, clock, randomness or logging. Called by one thread at a time."""

    @property
    def name(self) -> str: ...

    def __call__(self, batch: Batch) -> Outcome: ...
