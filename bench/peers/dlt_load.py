"""dlt loads a table of PostgreSQL or a paged API into Parquet files of a local folder, its `filesystem` destination.

Arguments: sql|rest, address, rows, variant. Prints the rows a second of the better of two loads, behind one that warms up.
What counts is `run`: it extracts to files, normalizes those, and puts them in place; the start of the interpreter does not.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Of what its documentation on performance names, what helps here: processes to normalize in cost more than they save.
TUNED = {"DATA_WRITER__BUFFER_MAX_ITEMS": "50000"}


def source(what: str, address: str, variant: str) -> Any:
    """What is loaded. The variant of `sql` is the backend; connectorx streams, as dlt advises for more than a chunk of rows."""
    if what == "sql":
        from dlt.sources.sql_database import sql_table

        streamed = {"backend_kwargs": {"return_type": "arrow_stream"}} if variant == "connectorx" else {}
        return sql_table(credentials=address, table="orders", backend=variant, **streamed)
    from dlt.sources.rest_api import rest_api_source

    base, _, path = address.rpartition("/")
    paginator = {"type": "cursor", "cursor_path": "next", "cursor_param": "cursor"}
    endpoint = {"path": path, "paginator": paginator, "data_selector": "items"}
    return rest_api_source({"client": {"base_url": base}, "resources": [{"name": path, "endpoint": endpoint}]})


def load(what: str, address: str, rows: int, variant: str, folder: Path) -> float:
    """Load everything into a new folder. Returns rows a second."""
    import dlt
    import pyarrow.parquet as pq

    destination = dlt.destinations.filesystem(bucket_url=(folder / "out").as_uri())
    pipeline = dlt.pipeline("peer", pipelines_dir=str(folder), destination=destination, dataset_name="loaded")
    started = time.perf_counter()
    pipeline.run(source(what, address, variant), loader_file_format="parquet").raise_on_failed_jobs()
    seconds = time.perf_counter() - started
    files = [path for path in (folder / "out").rglob("*.parquet") if not path.parent.name.startswith("_dlt")]
    found = sum(pq.read_metadata(path).num_rows for path in files)
    assert found == rows, f"{found} rows instead of {rows}"
    return rows / seconds


def main(what: str, address: str, rows: str, variant: str) -> None:
    if variant == "tuned":
        os.environ.update(TUNED)
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="dlt-peer-") as folder:
            found.append(load(what, address, int(rows), variant, Path(folder)))
    print(max(found[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
