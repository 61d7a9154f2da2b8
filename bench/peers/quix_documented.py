"""The job of `bench/stage.py` in Quix Streams, exactly once, as its documentation has it: its Avro serdes, its defaults.

Arguments: brokers, input, output, schema file, group, registry.
"""

import json
import sys
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.models import SchemaRegistryClientConfig
from quixstreams.models.serializers.avro import AvroDeserializer, AvroSerializer


def main(brokers: str, source: str, target: str, schema_file: str, group: str, registry_url: str) -> None:
    registry = SchemaRegistryClientConfig(url=registry_url)
    schema = json.loads(Path(schema_file).read_text())
    app = Application(
        broker_address=brokers,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=Path(schema_file).parent / "state",
    )
    orders = app.topic(source, value_deserializer=AvroDeserializer(schema_registry_client_config=registry))
    changed = app.topic(target, value_serializer=AvroSerializer(schema, schema_registry_client_config=registry))

    def change(row: Any) -> Any:
        row["email"] = row["email"].lower()
        row["status"] = row["status"].upper()
        row["amount"] *= 1.1
        return row

    sdf = app.dataframe(orders)
    sdf = sdf.filter(lambda row: row["amount"] >= 0)
    sdf = sdf.apply(change)
    sdf = sdf.to_topic(changed)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
