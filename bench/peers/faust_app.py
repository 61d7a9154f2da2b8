"""The job of `bench/stage.py` in Faust, exactly once, with a table as its users have.

Arguments: brokers, input, output, schema file, group, folder.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import fastavro
import faust


def main(brokers: str, source: str, target: str, schema_file: str, group: str, folder: str) -> None:
    schema = fastavro.parse_schema(json.loads(Path(schema_file).read_text()))
    app = faust.App(
        group,
        broker=f"kafka://{brokers}",
        processing_guarantee="exactly_once",
        topic_allow_declare=True,
        topic_partitions=2,
        datadir=folder,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    orders = app.topic(source, value_serializer="raw", value_type=bytes)
    changed = app.topic(target, value_serializer="raw", value_type=bytes)
    seen = app.Table("seen", default=int, partitions=2)

    @app.agent(orders)
    async def change(stream: Any) -> None:
        async for value in stream:
            row: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
            seen[row["country"]] += 1
            if row["amount"] < 0:
                continue
            row["email"] = row["email"].lower()
            row["status"] = row["status"].upper()
            row["amount"] *= 1.1
            out = io.BytesIO()
            out.write(value[:5])
            fastavro.schemaless_writer(out, schema, row)
            await changed.send(value=out.getvalue())

    sys.argv = [sys.argv[0], "worker", "-l", "warn"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
