"""The job of `bench/stage.py` on Headrace's own pump: one process of it.

Arguments: brokers, registry, input, output, group, instance, rows a batch.
"""

import sys
import threading

import duckdb
import numpy as np
import pyarrow as pa

from headrace.stream.decode import Decoder
from headrace.stream.kafka import Connection, KafkaSink, KafkaSource, TransactionalWriter
from headrace.stream.ledger import Position
from headrace.stream.outputs import Outputs
from headrace.stream.pump import Pump
from headrace.stream.registry import Registry
from headrace.stream.service import relax_collector
from headrace.stream.stage import MAIN, Batch, Emitted, Outcome

SQL = """
    SELECT order_id, customer_id, lower(email) AS email, upper(status) AS status, amount * 1.1 AS amount,
           currency, country, ts, items, note, __row
    FROM input WHERE amount >= 0
"""


class Orders:
    """The SQL of the benchmark, with a fate for every row as any stage owes it."""

    name = "transformer"

    def __init__(self) -> None:
        self._duckdb = duckdb.connect(config={"threads": 1})

    def __call__(self, batch: Batch) -> Outcome:
        """See `headrace.stream.stage.Stage`."""
        rows = len(batch.raw)
        numbered = batch.rows.append_column("__row", pa.array(np.arange(rows)))
        self._duckdb.register("input", numbered)
        (changed,) = self._duckdb.sql(SQL).to_arrow_table().combine_chunks().to_batches()
        row = changed.column("__row")
        dropped = np.ones(rows, bool)
        dropped[row.to_numpy()] = False
        emitted = Emitted(row, changed.drop_columns(["__row"]))
        return Outcome((emitted,), {"amount >= 0": pa.array(np.flatnonzero(dropped), pa.int64())})


def main(brokers: str, registry_url: str, source: str, target: str, group: str, instance: str, batch_rows: str) -> None:
    """Run until standard input ends."""
    relax_collector()
    connection, registry = Connection(brokers), Registry(registry_url)
    writer = TransactionalWriter(connection, f"{group}-{instance}")
    pump = Pump(
        Position("bench.orders", 1, 1, "transformer", instance),
        KafkaSource(connection, source, group),
        Decoder(registry),
        Orders(),
        KafkaSink(writer, Outputs(registry, {MAIN: target}, f"{target}.quarantine")),
        max_rows=int(batch_rows),
    )
    stopping = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stopping.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    pump.run(stopping)


if __name__ == "__main__":
    main(*sys.argv[1:])
