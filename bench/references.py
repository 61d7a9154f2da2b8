"""What reference data costs: a small table in a file beside one in memory, and a large one, with the memory of its process.

The statements are those by which the transformer keeps and reads its tables; the rows come from here and not from a topic.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from bench.report import Finding
from headrace.contract import Contract, reference_table
from headrace.stream.service import relax_collector
from headrace.stream.stage import Batch, Records
from headrace.stream.staging import staged
from headrace.transform import kept
from headrace.transform.engine import Engine, Step
from headrace.transform.kept import Kept
from headrace.transform.reference import create, upsert
from headrace.transform.sandbox import Sandbox
from headrace.transform.stage import Transform
from headrace.transform.store import Store

_NAME: Final = "bench.parents"
_TABLE: Final = reference_table(_NAME)
_COLUMNS: Final = ("id", "name", "address", "score")
_BATCH: Final = 20_000
_SMALL: Final = 5_000
_ROUNDS: Final = 150
_CHANGED: Final = 100
_JOIN: Final = f"SELECT i.n, i.id, p.name, p.address, p.score FROM input AS i JOIN ref('{_NAME}') AS p ON p.id = i.id"
_CHECK: Final = {"check": "references", "column": "id", "dataset": _NAME, "to": "id"}


def run(rows: int) -> list[Finding]:
    """Units: `rows` of the large table."""
    relax_collector()
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-references-"))
    try:
        return [*_small(folder), *large(folder, rows)]
    finally:
        shutil.rmtree(folder)


class _AsItWas(Engine):
    """An engine that does not look at what it is asked."""

    def _looked(self, _: str) -> Any:
        return nullcontext()


def _small(folder: Path) -> list[Finding]:
    """Rows a second that the stage makes of batches that look up a small table, by turns."""
    engines = {
        "in memory, SQL not looked at": _AsItWas(),
        "in memory": Engine(),
        "in a file": Engine(store=Store(folder / "small")),
    }
    findings = []
    for what, sections in _stages().items():
        stages: dict[str, Transform] = {}
        for name, engine in engines.items():
            fill(engine, _SMALL)
            stages[name] = _stage(engine, **sections)
        speeds = _by_turns(stages, _rows(_SMALL))
        first = next(iter(speeds.values()))
        for name, speed in speeds.items():
            told = f"{what} of a table of {_SMALL:,} rows {name}, 20k batches"
            findings.append(Finding("references", told, speed, "rows/s", "in memory, SQL not looked at", speed / first))
    for engine in engines.values():
        engine.close()
    return findings


def _stages() -> dict[str, dict[str, Any]]:
    return {"join": {"transform": {"sql": _JOIN}}, "check": {"checks": [_CHECK]}}


def _by_turns(stages: dict[str, Transform], batch: Batch) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(_ROUNDS + 3):
        for name, stage in stages.items():
            began = time.perf_counter()
            stage(batch)
            if turn >= 3:  # the first warm up
                took[name].append(time.perf_counter() - began)
    return {name: len(batch.rows) / statistics.median(each) for name, each in took.items()}


def large(folder: Path, rows: int) -> Iterator[Finding]:
    """A table of so many rows in a sandbox with its default memory."""
    store = Store(folder / "large")
    with closing(Sandbox(store=store)) as sandbox:
        before = resident_mb(sandbox)
        began = time.perf_counter()
        fill(sandbox, rows)
        yield _found(f"{rows:,} rows loaded by upserts of 20k", rows / (time.perf_counter() - began), "rows/s")
        yield _found(f"the process of {rows:,} rows before they are loaded: resident", before, "MB")
        yield _found(
            f"the process of {rows:,} rows once they are loaded: resident, at most", resident_mb(sandbox), "MB"
        )
        yield _found(f"the folder of {rows:,} rows once they are loaded", size_mb(store), "MB")
        for size in (_BATCH, 100):
            took = _times(sandbox.load, [_upserts(rows, size, number) for number in range(10)])
            yield _found(f"upsert of {size:,} rows into {rows:,}", took * 1000, "ms")
        for what, sections in _stages().items():
            stage = _stage(sandbox, **sections)
            stage(_rows(rows))
            took = _times(stage, [(_rows(rows),) for _ in range(8)])
            yield _found(f"{what} of {rows:,} rows, 20k batches", _BATCH / took, "rows/s")
            yield _found(
                f"the process of {rows:,} rows after each {what}: resident, at most", resident_mb(sandbox), "MB"
            )
        for number in range(_CHANGED):
            sandbox.load(*_upserts(rows, _BATCH, number))
        changed = f"{_CHANGED * _BATCH:,} upserts"
        yield _found(f"the folder of {rows:,} rows after {changed}", size_mb(store), "MB")
        yield _found(f"the process of {rows:,} rows after {changed}: resident, at most", resident_mb(sandbox), "MB")
        [count] = sandbox.query(f"SELECT count(*) AS n FROM {_TABLE}", _nothing()).to_pylist()
        if count["n"] != rows:
            raise RuntimeError(f"{count['n']:,} rows are there instead of {rows:,}")
    began = time.perf_counter()
    with closing(Sandbox(store=store)) as again:
        [found] = kept.found(again).values()
        yield _found(f"{rows:,} rows there again after a restart, every block read", time.perf_counter() - began, "s")
        yield _found(f"the process of {rows:,} rows after a restart: resident, at most", resident_mb(again), "MB")
        if not found.offsets:
            raise RuntimeError("it was not kept how far they were read")


def fill(engine: Engine, rows: int) -> None:
    """A table of so many rows in batches, in an order of its own."""
    kept.prepare(engine)
    engine.load((create(_TABLE), _nothing()), *kept.begun(_NAME, Kept(1, "id", "shape", False)))
    order = np.random.default_rng(1).permutation(rows)
    for first in range(0, rows, _BATCH):
        engine.load(_changes(order[first : first + _BATCH], 0), kept.read_to(_NAME, {0: first + _BATCH}))


def _upserts(rows: int, size: int, number: int) -> tuple[Step, Step]:
    """What changes some rows of a table, wherever they are."""
    some = np.random.default_rng(100 + number).integers(0, rows, size)
    return _changes(some, number + 1), kept.read_to(_NAME, {0: rows + number})


def resident_mb(sandbox: Sandbox) -> float:
    """The most memory that a sandbox's process ever had. Linux."""
    assert sandbox._process is not None
    status = Path(f"/proc/{sandbox._process.pid}/status").read_text(encoding="ascii")
    [told] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(told.split()[1]) / 1000


def size_mb(store: Store) -> float:
    """What a store takes on the disk."""
    return sum(file.stat().st_size for file in store.folder.rglob("*") if file.is_file()) / 1e6


def _times(do: Callable[..., object], given: Iterable[tuple[Any, ...]]) -> float:
    took = []
    for each in given:
        began = time.perf_counter()
        do(*each)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def _changes(ids: Any, version: int) -> Step:
    own = [
        pa.array(ids, pa.int64()),
        pa.array([f"name of {each} in version {version}" for each in ids.tolist()]),
        pa.array([f"street {each * 7919 % 100_003}, city {each % 997}" for each in ids.tolist()]),
        pa.array(ids * 1.5),
    ]
    added: list[pa.Array] = [pa.array(np.arange(len(ids))), pa.array(np.zeros(len(ids), np.bool_))]
    rows = pa.RecordBatch.from_arrays([*own, *added], names=[*_COLUMNS, "__at", "__deleted"])
    return upsert(_TABLE, _COLUMNS, ("id",)), rows


def _nothing() -> pa.RecordBatch:
    fields = zip(_COLUMNS, (pa.int64(), pa.string(), pa.string(), pa.float64()), strict=True)
    return pa.RecordBatch.from_pylist([], schema=pa.schema([pa.field(name, kind) for name, kind in fields]))


def _stage(engine: Engine, **sections: Any) -> Transform:
    minimal = {
        "dataset": "bench.children",
        "description": "d",
        "owner": {"team": "bench"},
        "source": {"type": "http_push"},
    }
    return Transform(engine, Contract.model_validate(minimal | sections), 1)


def _rows(parents: int) -> Batch:
    ids = np.random.default_rng(time.perf_counter_ns()).integers(0, parents, _BATCH)
    own: list[pa.Array] = [pa.array(np.arange(_BATCH)), pa.array(ids, pa.int64())]
    records = Records.numbered("bench.staged", [b""] * _BATCH)
    batch = Batch(records, pa.RecordBatch.from_arrays(own, names=["n", "id"]), 0)
    return Batch(records, staged(batch, 1), 0)


def _found(what: str, value: float, unit: str) -> Finding:
    sys.stderr.write(f"{what}: {value:,.1f} {unit}\n")
    return Finding("references", what, value, unit)
