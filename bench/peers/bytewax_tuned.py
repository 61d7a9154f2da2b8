"""The job of `bench/stage.py` in Bytewax, tuned as we are; at least once, as it has no transactions.

Arguments: brokers, input, output, schema file.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import bytewax.operators as op
import fastavro
from bytewax.connectors.kafka import KafkaSink as KafkaOutput
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main


def flow(brokers: str, source: str, target: str, schema_file: str) -> Dataflow:
    schema = fastavro.parse_schema(json.loads(Path(schema_file).read_text()))

    def step(message: Any) -> Any:
        row: Any = fastavro.schemaless_reader(io.BytesIO(message.value[5:]), schema, None)
        if row["amount"] < 0:
            return None
        row["email"] = row["email"].lower()
        row["status"] = row["status"].upper()
        row["amount"] *= 1.1
        out = io.BytesIO()
        out.write(message.value[:5])
        fastavro.schemaless_writer(out, schema, row)
        return KafkaSinkMessage(None, out.getvalue())

    dataflow = Dataflow("orders")
    config = {"fetch.queue.backoff.ms": "2"}
    read = op.input("in", dataflow, KafkaSource([brokers], [source], tail=True, batch_size=20_000, add_config=config))
    changed = op.filter_map("change", read, step)
    op.output("out", changed, KafkaOutput([brokers], target, add_config={"compression.type": "lz4", "linger.ms": "5"}))
    return dataflow


if __name__ == "__main__":
    cli_main(flow(*sys.argv[1:5]))
