"""The job of `bench/stage.py` in Bytewax as its documentation has it: its Kafka operators with their defaults, and
Confluent's Avro serdes, which its own examples use; at least once, as it has no transactions.

Arguments: brokers, input, output, schema file, registry.
"""

import sys
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer


def flow(brokers: str, source: str, target: str, schema_file: str, registry_url: str) -> Dataflow:
    client = SchemaRegistryClient({"url": registry_url})

    def change(message: Any) -> Any:
        row = message.value
        row["email"] = row["email"].lower()
        row["status"] = row["status"].upper()
        row["amount"] *= 1.1
        return KafkaSinkMessage(message.key, row, topic=target)  # the serializer derives its subject from the topic

    dataflow = Dataflow("orders")
    read = kop.input("in", dataflow, brokers=[brokers], topics=[source])
    op.inspect("read-errors", read.errs).then(op.raises, "read-failed")
    decoded = kop.deserialize_value("decode", read.oks, AvroDeserializer(client))
    op.inspect("decode-errors", decoded.errs).then(op.raises, "decode-failed")
    kept = op.filter("filter", decoded.oks, lambda message: message.value["amount"] >= 0)
    changed = op.map("change", kept, change)
    encoded = kop.serialize_value("encode", changed, AvroSerializer(client, Path(schema_file).read_text()))
    kop.output("out", encoded, brokers=[brokers], topic=target)
    return dataflow


if __name__ == "__main__":
    cli_main(flow(*sys.argv[1:]))
