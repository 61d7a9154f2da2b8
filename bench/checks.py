"""What checks cost: the same rows, one in a hundred of them bad in twelve ways, with twelve checks and with none.

Measured twice: the stage alone in this process, and through all six services until the public view shows every good row.
What is found is looked at, too: each kind of bad row has to be under the check that finds it, and the books have to balance.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from bench import bad_rows
from bench.report import Finding
from headrace.client import Client
from headrace.contract import Contract, reference_table
from headrace.stream import columns
from headrace.stream.service import relax_collector
from headrace.stream.stage import Batch, Records
from headrace.stream.staging import staged
from headrace.transform.engine import Engine
from headrace.transform.reference import append, create
from headrace.transform.stage import Transform
from tests.stack import Platform, Stack

_BATCH: Final = 50_000  # the default of max_batch_rows
_CHUNK: Final = 100_000
_ROUNDS: Final = 3
_MINIMAL: Final[dict[str, Any]] = {"description": "Checks of the benchmark.", "owner": {"team": "bench"}}


def run(stack: Stack, rows: int) -> list[Finding]:
    """Units: `rows` through each. Errors: RuntimeError when what was found is not what is there."""
    return [*_stage(rows), *_flow(stack, rows)]


def _contract(name: str, checks: list[dict[str, Any]], source: dict[str, Any]) -> dict[str, Any]:
    return {"dataset": f"bench.{name}", **_MINIMAL, "source": source, "checks": checks}


def _stage(rows: int) -> list[Finding]:
    """Good rows a second that the stage makes, with checks and without, by turns."""
    relax_collector()
    batches = [_batch(first) for first in range(0, min(rows, 10 * _BATCH), _BATCH)]
    stages = {name: _opened(checks) for name, checks in (("checks", bad_rows.CHECKS), ("none", []))}
    speeds: dict[str, list[float]] = {name: [] for name in stages}
    good = sum(len(batch.rows) for batch in batches) * 99 / 100
    for turn in range(_ROUNDS + 1):
        for name, stage in stages.items():
            began = time.perf_counter()
            for batch in batches:
                stage(batch)
            if turn:  # the first warms up
                speeds[name].append(good / (time.perf_counter() - began))
    checked, plain = (statistics.median(speeds[name]) for name in ("checks", "none"))
    what = "the stage alone, 50k batches, 12 checks, 1 % bad: good rows"
    return [
        Finding("checks", "the stage alone, 50k batches, no checks: good rows", plain, "rows/s"),
        Finding("checks", what, checked, "rows/s", "no checks", checked / plain),
    ]


def _batch(first: int) -> Batch:
    made = bad_rows.rows(first, _BATCH)
    records = Records.numbered("bench.staged", [b""] * _BATCH)
    raw = pa.RecordBatch.from_arrays(
        [*made.columns, pa.nulls(_BATCH, columns.TIMESTAMP), pa.array(["insert"] * _BATCH)],
        names=[*made.schema.names, columns.SOURCE_TS, columns.OP],
    )
    batch = Batch(records, raw, 0)
    return Batch(records, staged(batch, 1), 0)


def _opened(checks: list[dict[str, Any]]) -> Transform:
    engine = Engine()
    known = pa.RecordBatch.from_pydict(
        {
            "code": list(bad_rows.COUNTRIES),
            "__at": pa.array(range(len(bad_rows.COUNTRIES)), pa.int64()),
            "__deleted": [False] * len(bad_rows.COUNTRIES),
            "__age": pa.array(range(len(bad_rows.COUNTRIES)), pa.int64()),
        }
    )
    table = reference_table("bench.countries")
    engine.load((create(table), known.select(["code"]).slice(0, 0)), (append(table, ["code"]), known))
    return Transform(engine, Contract.model_validate(_contract("stage", checks, {"type": "http_push"})), 1)


def _flow(stack: Stack, rows: int) -> list[Finding]:
    """Good rows a second through six services, with checks and without."""
    file = stack.settings.home / "files" / "bench" / "bad_rows.parquet"
    _write(file, rows)
    with Platform.connect(stack) as platform:
        client = platform.client
        countries = _contract("countries", [], {"type": "http_push"}) | {"key": ["code"], "load": {"mode": "upsert"}}
        client.datasets.apply("bench.countries", json.dumps(countries))
        platform.push("bench.countries", [{"code": code} for code in bad_rows.COUNTRIES])
        client.datasets.wait_settled("bench.countries", timeout_s=60)
        _measured(client, "warm", [], rows)  # services compile, tables and connections are made
        plain = _measured(client, "unchecked", [], rows)
        checked = _measured(client, "checked", bad_rows.CHECKS, rows)
        _verify(client, rows)
    what = f"six services, {rows:,} rows, 12 checks, 1 % bad: good rows"
    return [
        Finding("checks", f"six services, {rows:,} rows, no checks: good rows", plain, "rows/s"),
        Finding("checks", what, checked, "rows/s", "no checks", checked / plain),
    ]


def _write(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, bad_rows.rows(0, 1).schema) as writer:
        for first in range(0, rows, _CHUNK):
            writer.write_table(pa.Table.from_batches([bad_rows.rows(first, min(_CHUNK, rows - first))]))
    part.rename(path)


def _measured(client: Client, name: str, checks: list[dict[str, Any]], rows: int) -> float:
    """Good rows a second until everything has its fate."""
    sys.stderr.write(f"measuring {rows:,} rows with {len(checks)} checks through six services\n")
    began = time.monotonic()
    document = _contract(name, checks, {"type": "file", "path": "bench/bad_rows.parquet"})
    client.datasets.apply(f"bench.{name}", json.dumps(document))
    client.datasets.wait_settled(f"bench.{name}", timeout_s=600, poll_s=0.1)
    return (rows - sum(bad_rows.bad(rows).values())) / (time.monotonic() - began)


def _verify(client: Client, rows: int) -> None:
    """Errors: RuntimeError."""
    books = client.datasets.ledger("bench.checked")
    found = {each.rule: each.rows for each in client.quarantine.get("bench.checked", limit=1).clusters}
    expected = bad_rows.bad(rows)
    if found != expected or books.residue or books.loaded != rows - sum(expected.values()):
        raise RuntimeError(f"quarantined: {found}, expected {expected}; books: {books}")
