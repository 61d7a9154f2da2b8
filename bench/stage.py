"""One exactly-once stage beside the same job elsewhere: decode, filter, change three columns, encode. One broker, one topic."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import Measured, Progress, cores, measure
from bench.orders import avro, encoder, orders
from bench.report import Finding
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry

_PEERS: Final = Path(__file__).parent / "peers"
_INPUT: Final = "bench.orders"
_PARTITIONS: Final = 2
_OUTPUT_SHARE: Final = 0.98  # one order in 50 has a negative amount
_CHUNK: Final = 50_000


@dataclass(frozen=True, slots=True)
class Runner:
    """One way to do the job. `commands` run side by side; `share` is how much of the input is enough for it."""

    name: str
    commands: Sequence[Sequence[str]]
    share: float = 1.0
    limit_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a runner reads and writes."""

    brokers: str
    registry_url: str
    output: str
    folder: Path

    @property
    def schema_file(self) -> str:
        return str(self.folder / "order.avsc")


def fill(brokers: str, registry_url: str, rows: int) -> None:
    """Write `rows` orders to the input topic."""
    connection, registry = Connection(brokers), Registry(registry_url)
    kafka_topics.ensure_control(connection)
    kafka_topics.ensure(connection, {_INPUT: _PARTITIONS})
    codec, schema_id = encoder(registry, _INPUT)
    writer = TransactionalWriter(connection, "bench-fill")
    for number, first in enumerate(range(0, rows, _CHUNK)):
        values = codec.encode(orders(first, min(_CHUNK, rows - first)), schema_id)
        with writer.transaction() as transaction:
            transaction.produce(_INPUT, values, partition=number % _PARTITIONS)
    writer.close()


def headrace(place: Place, processes: int, batch_rows: int = 20_000) -> Runner:
    """Headrace's pump in `processes` processes."""
    script = [sys.executable, "-m", "bench.headrace_stage", place.brokers, place.registry_url, _INPUT, place.output]
    plural = "es" if processes > 1 else ""
    return Runner(
        f"Headrace, {processes} process{plural}, {batch_rows // 1000}k batches",
        [[*script, place.output, str(number), str(batch_rows)] for number in range(processes)],
    )


def kafka_streams(place: Place) -> Runner:
    """Kafka Streams with a thread for each core. Errors: RuntimeError without a JDK or Maven."""
    home = _PEERS / "kafka_streams"
    for tool in ("mvn", "javac"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"the Kafka Streams peer needs {tool}: install a JDK (17 or newer) and Maven")
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=home, check=True)
    classes = f"{home}/target/peer.jar:{home}/target/libs/*"
    arguments = [place.brokers, _INPUT, place.output, place.schema_file, place.output, str(place.folder), str(cores())]
    return Runner("Kafka Streams, exactly_once_v2", [["java", "-Xmx1g", "-cp", classes, "Peer", *arguments]])


def python_peers(place: Place) -> Iterator[Runner]:
    """Quix Streams, Bytewax and Faust, each in an environment of its own."""

    def script(name: str, *packages: str) -> list[str]:
        uv = shutil.which("uv") or str(Path(__file__).parents[1] / ".tools" / "bin" / "uv")
        wanted = [part for package in ("fastavro", *packages) for part in ("--with", package)]
        run = [uv, "run", "--quiet", "--isolated", "--no-project", "--python", sys.executable, *wanted]
        return [*run, "python", str(_PEERS / name), place.brokers, _INPUT, place.output, place.schema_file]

    quix = script("quix.py", "quixstreams==3.28.1")
    yield Runner("Quix Streams, exactly-once", [[*quix, place.output]], 0.15, 60)
    bytewax = script("bytewax_flow.py", "bytewax[kafka]==0.21.1")
    yield Runner("Bytewax, at least once", [bytewax], 0.15, 60)
    faust = script("faust_app.py", "faust-streaming==0.15.3", "aiokafka[lz4]")
    yield Runner("Faust, exactly_once, with a table", [[*faust, place.output, str(place.folder)]], 0.01, 45)


def run(brokers: str, registry_url: str, rows: int) -> list[Finding]:
    """Measure every runner after the other. Units: `rows` orders in the topic; the first third of a runner's share is warm-up."""
    fill(brokers, registry_url, rows)
    connection = Connection(brokers)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as made:
        results: dict[str, Measured] = {}

        def one(number: int, build: object) -> None:
            place = Place(brokers, registry_url, f"bench.out{number}", Path(made) / str(number))
            place.folder.mkdir()
            Path(place.schema_file).write_text(avro())
            kafka_topics.ensure(connection, {place.output: _PARTITIONS, f"{place.output}.quarantine": _PARTITIONS})
            runner: Runner = build(place)  # type: ignore[operator]
            wanted = int(rows * runner.share)
            sys.stderr.write(f"measuring {runner.name} over {wanted:,} rows\n")
            results[runner.name] = measure(
                runner.commands,
                Progress(brokers, place.output, _PARTITIONS),
                input_rows=wanted,
                output_share=_OUTPUT_SHARE,
                warm_rows=wanted // 3,
                limit_s=runner.limit_s,
                log=place.folder / "log",
            )

        builders = [
            kafka_streams,
            lambda place: headrace(place, 2),
            lambda place: headrace(place, 1),
            lambda place: headrace(place, 1, 100_000),
            *(lambda place, at=at: list(python_peers(place))[at] for at in range(3)),
        ]
        for number, build in enumerate(builders):
            one(number, build)
    return findings(results)


def findings(results: dict[str, Measured]) -> list[Finding]:
    """Every runner's own figures, and ours over each peer's: with as many processes as the peer has threads or processes."""
    found = []
    for name, measured in results.items():
        found.append(Finding("stage", f"{name}: rows a second", measured.rows_s, "rows/s"))
        found.append(Finding("stage", f"{name}: CPU", measured.cpu_s_per_million, "CPU s / million rows"))
        found.append(Finding("stage", f"{name}: memory", measured.rss_bytes / 2**20, "MiB"))
    two, one = "Headrace, 2 processes, 20k batches", "Headrace, 1 process, 20k batches"
    for name, measured in results.items():
        if name.startswith("Headrace"):
            continue
        ours = results[two] if name.startswith("Kafka Streams") else results[one]
        found.append(Finding("stage", "throughput", ours.rows_s, "rows/s", name, ours.rows_s / measured.rows_s))
        if name.startswith("Kafka Streams"):
            single = results[one]
            found.append(
                Finding(
                    "stage", "throughput of one process", single.rows_s, "rows/s", name, single.rows_s / measured.rows_s
                )
            )
        saving = measured.cpu_s_per_million / ours.cpu_s_per_million
        found.append(Finding("stage", "CPU economy", ours.cpu_s_per_million, "CPU s / million rows", name, saving))
    return found
