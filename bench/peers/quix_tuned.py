"""The job of `bench/stage.py` in Quix Streams, exactly once, tuned as we are.

Arguments: brokers, input, output, schema file, group.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import fastavro
from quixstreams import Application


def main(brokers: str, source: str, target: str, schema_file: str, group: str) -> None:
    schema = fastavro.parse_schema(json.loads(Path(schema_file).read_text()))
    app = Application(
        broker_address=brokers,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=Path(schema_file).parent / "state",
        auto_create_topics=False,
        use_changelog_topics=False,
        commit_every=20_000,
        commit_interval=5.0,
        consumer_extra_config={"fetch.queue.backoff.ms": 2},
        producer_extra_config={"compression.type": "lz4", "linger.ms": 5},
    )

    def decode(value: bytes) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)

    def change(row: Any) -> Any:
        row["email"] = row["email"].lower()
        row["status"] = row["status"].upper()
        row["amount"] *= 1.1
        return row

    def encode(row: Any) -> bytes:
        out = io.BytesIO()
        out.write(head)
        fastavro.schemaless_writer(out, schema, row)
        return out.getvalue()

    head = b"\0\0\0\0\1"
    stream = app.dataframe(app.topic(source, value_deserializer="bytes"))
    stream = stream.apply(decode).filter(lambda row: row["amount"] >= 0).apply(change).apply(encode)
    stream.to_topic(app.topic(target, value_serializer="bytes"))
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
