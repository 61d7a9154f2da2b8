"""All six services, from a source to rows that can be queried: rows a second, latency, and the memory of each process."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.orders import orders
from bench.report import Finding
from deploy.local import stack as local
from headrace.client import Client
from tests.stack import Stack

_CHUNK: Final = 100_000
_RATE: Final = 1000  # rows a second
_LOOK_EVERY_S: Final = 0.03  # queries without a pause would take the processor from what is measured
_EVERY_S: Final = 0.02  # a request of 20 rows fifty times a second

FLOW: Final = """
dataset: bench.{name}
description: Orders of the end-to-end benchmark.
owner: {{team: bench}}
source: {source}
transform:
  sql: |
    SELECT order_id, customer_id, lower(email) AS email, upper(status) AS status, amount * 1.1 AS amount,
           currency, country, ts, items, note
    FROM input WHERE amount >= 0
checks:
  - {{check: not_null, column: order_id}}
  - {{check: in, column: currency, values: [EUR, USD, GBP, JPY]}}
load: {{mode: append, order_by: [order_id]}}
"""


def run(stack: Stack, sizes: Sequence[int], latency_s: float) -> list[Finding]:
    """Measure each size as a dataset of its own, then latency. Units: `sizes` in rows."""
    found: list[Finding] = []
    with Client(stack.gateway_url, stack.credentials.admin_token.get_secret_value(), timeout_s=120) as client:
        for rows in sizes:
            found += throughput(stack, client, rows)
        taken_ms, missing = latencies_ms(stack, client, "pushed", latency_s)
    p50, p99 = np.percentile(taken_ms, [50, 99])
    return [
        *found,
        Finding("latency", "source to queryable at 1,000 rows/s, p50", float(p50), "ms"),
        Finding("latency", "source to queryable at 1,000 rows/s, p99", float(p99), "ms"),
        Finding("latency", "requests measured", float(len(taken_ms)), "requests"),
        Finding("latency", "requests whose rows never showed", float(missing), "requests"),
    ]


def throughput(stack: Stack, client: Client, rows: int) -> list[Finding]:
    """Load a file of so many rows."""
    name = f"orders_{rows}"
    _write(stack.settings.home / "files" / "bench" / f"{name}.parquet", rows)
    peak: dict[str, float] = {}
    stopping = threading.Event()
    watcher = threading.Thread(target=_watch, args=(stack, peak, stopping))
    sys.stderr.write(f"measuring {rows:,} rows through six services\n")
    started = time.monotonic()
    watcher.start()
    client.datasets.apply(f"bench.{name}", FLOW.format(name=name, source=f"{{type: file, path: bench/{name}.parquet}}"))
    wanted = _expected(rows)
    while _loaded(client, name) < wanted:
        time.sleep(0.2)
    seconds = time.monotonic() - started
    stopping.set()
    watcher.join()
    ledger = client.datasets.wait_settled(f"bench.{name}", timeout_s=60)
    found = [Finding("end to end", f"{rows:,} rows", rows / seconds, "rows/s")]
    found += [Finding("end to end", f"{rows:,} rows: peak memory of {part}", size, "MB") for part, size in peak.items()]
    found.append(Finding("end to end", f"{rows:,} rows: residue", float(ledger.residue), "rows"))
    return found


def _expected(rows: int) -> int:
    """How many orders have an amount that is not negative."""
    number = np.arange(rows, dtype=np.int64)
    return int((((number * 2654435761) % 1_000_003) % 50 != 0).sum())


def _loaded(client: Client, name: str) -> int:
    """Rows the public view shows; 0 before there is a view."""
    try:
        return int(str(client.query(f"SELECT count() FROM bench.{name}").rows[0][0]))
    except Exception:
        return 0


def _write(path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with pq.ParquetWriter(part, orders(0, 1).schema) as writer:
        for first in range(0, rows, _CHUNK):
            writer.write_table(pa.Table.from_batches([orders(first, min(_CHUNK, rows - first))]))
    part.rename(path)


def _watch(stack: Stack, peak: dict[str, float], stopping: threading.Event) -> None:
    while not stopping.wait(0.5):
        for state in local.components(stack.settings):
            if state.memory_mb:
                peak[state.name] = max(peak.get(state.name, 0.0), state.memory_mb)


def latencies_ms(stack: Stack, client: Client, name: str, seconds: float) -> tuple[list[float], int]:
    """Send 1,000 rows a second over HTTP to a new dataset, and watch its view: how long until each request's last row shows,
    and how many never did."""
    client.datasets.apply(f"bench.{name}", FLOW.format(name=name, source="{type: http_push}"))
    sent: dict[int, float] = {}
    seen: list[tuple[float, int]] = []
    stopping = threading.Event()
    reader = threading.Thread(target=_look, args=(stack, name, seen, stopping))
    token = stack.credentials.push_token.get_secret_value()
    sys.stderr.write(f"measuring latency at {_RATE:,} rows/s for {seconds:g} s\n")
    with httpx.Client(
        base_url=stack.settings.ingest_url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as http:
        _until_taken(http, name)  # the first rows make the topics' schemas, the table and the view
        while _loaded(client, name) == 0:
            time.sleep(0.1)
        reader.start()
        senders = _Senders(http, name, sent)
        senders.run(seconds)
    end = time.monotonic() + 15
    while max((number for _, number in seen[-1000:]), default=-1) < max(sent) and time.monotonic() < end:
        time.sleep(0.1)
    stopping.set()
    reader.join()
    taken_ms = _taken_ms(sent, seen)
    return taken_ms, len(sent) - len(taken_ms)


def _until_taken(http: httpx.Client, name: str) -> None:
    """Push the first rows as soon as ingest knows the dataset."""
    for _ in range(100):
        try:
            _push(http, name, 0, 20)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"ingest does not learn of bench.{name}")


class _Senders:
    """Sends requests at a fixed rate from several threads, so that a slow answer does not hold up the next request."""

    def __init__(self, http: httpx.Client, name: str, sent: dict[int, float]) -> None:
        self._http = http
        self._name = name
        self._sent = sent
        self._lock = threading.Lock()
        self._next = 1

    def run(self, seconds: float, threads: int = 16) -> None:
        """Send for `seconds`."""
        start = time.monotonic()
        last = int(seconds / _EVERY_S)
        workers = [threading.Thread(target=self._work, args=(start, last)) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self, start: float, last: int) -> None:
        while True:
            with self._lock:
                number, self._next = self._next, self._next + 1
            if number > last:
                return
            time.sleep(max(0.0, start + number * _EVERY_S - time.monotonic()))
            rows = int(_RATE * _EVERY_S)
            self._sent[number * rows + rows - 1] = time.monotonic()
            _push(self._http, self._name, number * rows, rows)


def _push(http: httpx.Client, name: str, first: int, rows: int) -> None:
    batch = orders(first, rows)
    at = batch.schema.get_field_index("amount")
    positive = pa.array(np.abs(batch.column("amount").to_numpy()))
    records = batch.set_column(at, batch.schema.field("amount"), positive).to_pylist()
    body = "\n".join(json.dumps(record, default=lambda value: value.isoformat()) for record in records)
    http.post(
        f"/v1/datasets/bench.{name}/rows", content=body, headers={"Content-Type": "application/x-ndjson"}
    ).raise_for_status()


def _look(stack: Stack, name: str, seen: list[tuple[float, int]], stopping: threading.Event) -> None:
    """Ask the warehouse again and again which requests' last orders it has: (when, order)."""
    user, password = "headrace", stack.credentials.warehouse_password.get_secret_value()
    newest = -1
    with httpx.Client(base_url=stack.warehouse_url, auth=(user, password), timeout=30) as http:
        while not stopping.wait(_LOOK_EVERY_S):
            answer = http.post(
                "/",
                content=f"SELECT order_id FROM bench.{name} WHERE order_id % 20 = 19 AND order_id > {newest - 5000}",
            )
            now = time.monotonic()
            if answer.is_success:
                numbers = [int(number) for number in answer.text.split()]
                seen.extend((now, number) for number in numbers)
                newest = max([newest, *numbers])


def _taken_ms(sent: dict[int, float], seen: list[tuple[float, int]]) -> list[float]:
    first: dict[int, float] = {}
    for at, number in seen:
        first.setdefault(number, at)
    return [(first[number] - at) * 1000 for number, at in sent.items() if number in first]
