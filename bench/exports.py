"""What an export costs: rows a second through the gateway beside clickhouse-connect alone, and the gateway's memory."""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from bench.report import Finding
from deploy.local.ports import free_port
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.dataset_store import fold_datasets
from tests.integration.warehouse.server import PASSWORDS, Warehouse
from tests.stack import eventually
from tests.unit.gateway.test_datasets import live

_BENCH: Final = "exports"
_NAME: Final = "bench.trips"
_FILE: Final = f"""
dataset: {_NAME}
description: Trips.
owner: {{team: bench}}
source: {{type: file, path: trips.csv}}
"""
_TOKEN: Final = "the-token-of-a-bench"
_ROWS: Final = (
    "SELECT number AS id, 'trip ' || toString(number) AS code, ['NYC', 'EWR', 'LGA', 'JFK'][number % 4 + 1] AS origin, "
    "['card', 'cash', NULL][number % 3 + 1] AS payment, toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number AS at, "
    "toDate32('2026-01-01') + number % 365 AS day, number / 7 AS amount, number % 5 AS passengers, number % 2 = 0 AS shared, "
    "repeat('x', number % 40) AS note FROM numbers({})"
)
#: What the client asks for itself. Parquet it asks as Arrow: the local warehouse makes a Parquet file whole before it sends any.
_ALONE: Final = {"csv": "CSVWithNames", "jsonl": "JSONEachRow", "arrow": "ArrowStream", "parquet": "ArrowStream"}


def run(rows: int, forms: tuple[str, ...] = tuple(_ALONE)) -> list[Finding]:
    """Export `rows` in every format, by turns through the gateway and with the client alone. Units: rows a second, bytes."""
    found = []
    with tempfile.TemporaryDirectory() as folder, _warehouse(Path(folder)) as warehouse:
        warehouse.value("CREATE DATABASE bench")
        warehouse.value(
            f"CREATE TABLE {_NAME} ENGINE = MergeTree ORDER BY id SETTINGS allow_nullable_key = 1 AS {_ROWS.format(rows)}"
        )
        with _gateway(Path(folder), warehouse) as (url, process):
            for form in forms:
                alone = _rows_s(rows, lambda form=form: _alone(warehouse, _ALONE[form]))  # type: ignore[misc]
                with _Peak(process) as peak:
                    through = _rows_s(rows, lambda form=form: _through(url, form))  # type: ignore[misc]
                what = f"{rows:,} rows as {form}"
                found.append(Finding(_BENCH, f"{what}, clickhouse-connect alone", alone, "rows/s"))
                found.append(Finding(_BENCH, what, through, "rows/s", "alone", through / alone))
                found.append(Finding(_BENCH, f"{what}, the gateway's memory", float(peak.rss_bytes >> 20), "MB"))
                sys.stderr.write(f"{form}: {through:,.0f} rows/s, alone {alone:,.0f}; {peak.rss_bytes >> 20} MB\n")
    return found


def _rows_s(rows: int, export: Callable[[], float]) -> float:
    gc.collect()
    return rows / min(export() for _ in range(2))


def _alone(warehouse: Warehouse, form: str) -> float:
    """Seconds from the first byte on, as through the gateway, which asks Kafka first how complete the rows are."""
    with warehouse.client("reader") as client:
        settings = {"date_time_output_format": "iso"}
        answer: Any = client.raw_stream(f"SELECT * FROM {_NAME}", settings=settings, fmt=form)
        return _read(answer.stream(1 << 20))


def _through(url: str, form: str) -> float:
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    with httpx.stream(
        "GET", f"{url}/api/v1/datasets/{_NAME}/export", params={"format": form}, headers=headers, timeout=300
    ) as it:
        it.raise_for_status()
        return _read(it.iter_raw(1 << 20))


def _read(pieces: Iterator[bytes]) -> float:
    began = time.monotonic()
    for _ in pieces:
        pass
    return time.monotonic() - began


class _Peak:
    """The most memory that a process has while this is open."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = psutil.Process(process.pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.rss_bytes = 0

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.rss_bytes = max(self.rss_bytes, self._process.memory_info().rss)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@contextmanager
def _warehouse(folder: Path) -> Iterator[Warehouse]:
    server = Warehouse(folder / "warehouse").wait_until_ready()
    try:
        yield server
    finally:
        server.terminate()


@contextmanager
def _gateway(folder: Path, warehouse: Warehouse) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A gateway in a process of its own that knows the dataset; Kafka is not within reach, and exports do not need it."""
    database = open_database(f"sqlite:///{folder / 'gateway.db'}")
    upgrade(database)
    with database.begin() as connection:
        fold_datasets(connection, live(_FILE).items())
    database.dispose()
    port = free_port()
    known = {
        "GATEWAY_ADMIN_TOKEN": _TOKEN,
        "GATEWAY_PORT": str(port),
        "DATA_DIR": str(folder),
        "BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "REGISTRY_URL": "http://127.0.0.1:1",
        "WAREHOUSE_URL": warehouse.url,
        "WAREHOUSE_READER_PASSWORD": PASSWORDS["reader"],
        "LOG_LEVEL": "error",
    }
    environment = os.environ | {f"HEADRACE_{name}": value for name, value in known.items()}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "services.gateway"], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _answers(url), 60, "the gateway answers")
        yield url, process
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=10).is_success
    except httpx.HTTPError:
        return False
