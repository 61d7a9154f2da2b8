"""Work as a pump would hand it to the sink, and the group's side of the commit."""

from collections.abc import Iterable
from itertools import count
from typing import Any

import pyarrow as pa

from headrace.stream.ledger import Position
from headrace.stream.pump import Delivery, Portion, Work
from headrace.stream.stage import Batch, Emitted, Outcome, Records
from services.loader.core.table import LOAD_FIELDS

epochs = count(1)
POSITION = Position("d.t", 1, 1, "loader", "test")


class Group:
    """Keeps what was committed, as Kafka would."""

    def __init__(self) -> None:
        self.committed: dict[int, int] = {}

    def commit(self, work: Work) -> None:
        assert not any(portion.outcome.emitted for portion in work.portions), "rows must not go to Kafka"
        self.committed |= work.delivery.next_offsets

    def close(self) -> None:
        """Nothing to give back."""


def delivered(offsets: Iterable[int], epoch: int, partition: int = 0, **user: Any) -> Work:
    """Records of one partition at these offsets; without `user` columns, each row holds ten times its offset."""
    at = list(offsets)
    n = len(at)
    columns = user or {"n": pa.array([10 * offset for offset in at])}
    records = Records(
        "t",
        pa.array([partition] * n, pa.int32()),
        pa.array(at, pa.int64()),
        pa.array([0] * n, pa.int64()),
        [None] * n,
        [b""] * n,
    )
    fields = [*(pa.field(name, values.type) for name, values in columns.items()), *LOAD_FIELDS]
    rows = pa.RecordBatch.from_arrays([*columns.values(), records.partition, records.offset], schema=pa.schema(fields))
    outcome = Outcome((Emitted(pa.array(range(n), pa.int64()), rows),))
    delivery = Delivery(records, {partition: at[-1] + 1}, None, epoch)
    return Work(POSITION, delivery, (Portion(Batch(records, rows, 1), outcome),), (), ())
