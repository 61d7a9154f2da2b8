"""One exactly-once stage beside the same job elsewhere: decode, filter, change three columns, encode. One broker, one topic."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.measure import Measured, Progress, cores, measure
from bench.orders import avro, encoder, orders
from bench.peers import alone
from bench.report import Finding
from headrace.stream.kafka import Connection, TransactionalWriter
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.registry import Registry

_PEERS: Final = Path(__file__).parent / "peers"
_INPUT: Final = "bench.orders"
_PARTITIONS: Final = 2
_OUTPUT_SHARE: Final = 0.98  # one order in 50 has a negative amount
_CHUNK: Final = 50_000
_LIMIT_S: Final = 120.0  # enough for any runner to leave its warm-up, on a busy machine too


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


@dataclass(frozen=True, slots=True)
class Runner:
    """One way to do the job. Its `commands` run side by side; `share` is how much of the input is enough for it; `beside` are
    the runners whose ratios to it are of interest."""

    name: str
    commands: Callable[[Place], Sequence[Sequence[str]]]
    share: float = 1.0
    beside: Sequence["Runner"] = ()


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


def headrace(processes: int, batch_rows: int) -> Runner:
    """Headrace's pump in `processes` processes."""

    def commands(place: Place) -> list[list[str]]:
        script = [sys.executable, "-m", "bench.headrace_stage", place.brokers, place.registry_url, _INPUT, place.output]
        return [[*script, place.output, str(number), str(batch_rows)] for number in range(processes)]

    plural = "es" if processes > 1 else ""
    return Runner(f"Headrace, {processes} process{plural}, {batch_rows // 1000}k batches", commands)


def kafka_streams(variant: str, name: str, beside: Sequence[Runner]) -> Runner:
    """Kafka Streams with a thread for each core; `variant` is documented or tuned."""

    def commands(place: Place) -> list[list[str]]:
        # Apicurio serves its own API beside Confluent's, and its serde speaks only that.
        native = place.registry_url.replace("/apis/ccompat/v7", "/apis/registry/v3")
        schema = native if variant == "documented" else place.schema_file
        where = [place.brokers, _INPUT, place.output, place.output, str(place.folder)]
        return [["java", "-Xmx1g", "-cp", _kafka_streams_classes(), "Peer", variant, *where, str(cores()), schema]]

    return Runner(name, commands, beside=beside)


@cache
def _kafka_streams_classes() -> str:
    """The class path of the Kafka Streams peers, built. Errors: RuntimeError without a JDK or Maven."""
    home = _PEERS / "kafka_streams"
    for tool in ("mvn", "javac"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"the Kafka Streams peers need {tool}: install a JDK (17 or newer) and Maven")
    subprocess.run(["mvn", "-q", "-B", "package"], cwd=home, check=True)
    return f"{home}/target/peer.jar:{home}/target/libs/*"


def python(
    name: str,
    script: str,
    packages: Sequence[str],
    more: Sequence[str],
    beside: Sequence[Runner],
    share: float = 0.15,
) -> Runner:
    """A peer in Python, in an environment of its own; `more` names what of its place it is told besides the schema file."""

    def commands(place: Place) -> list[list[str]]:
        where = [place.brokers, _INPUT, place.output, place.schema_file]
        also = [str(getattr(place, each)) for each in more]
        return [[*alone(script, ["fastavro", *packages]), *where, *also]]

    return Runner(name, commands, share, beside)


def runners() -> list[Runner]:
    """Everyone, in the order in which they are measured."""
    one, two, shipped, large = headrace(1, 20_000), headrace(2, 20_000), headrace(1, 50_000), headrace(1, 100_000)
    java, small = (two, one, shipped), (one, shipped)
    streams, quix = "Kafka Streams, exactly_once_v2", "Quix Streams, exactly-once"
    bytewax, faust = "Bytewax, at least once", "Faust, exactly_once, with a table"
    of_quix, of_faust = ["quixstreams==3.28.1"], ["faust-streaming==0.15.3", "aiokafka[lz4]"]
    of_bytewax = ["bytewax[kafka]==0.21.1", "confluent-kafka[avro,schemaregistry]"]
    return [
        kafka_streams("documented", f"{streams}, as documented", java),
        kafka_streams("tuned", f"{streams}, tuned", java),
        two,
        one,
        shipped,
        large,
        python(f"{quix}, as documented", "quix_documented.py", of_quix, ("output", "registry_url"), small),
        python(f"{quix}, tuned", "quix_tuned.py", of_quix, ("output",), small),
        python(f"{bytewax}, as documented", "bytewax_documented.py", of_bytewax, ("registry_url",), small),
        python(f"{bytewax}, tuned", "bytewax_tuned.py", of_bytewax, (), small),
        python(faust, "faust_app.py", of_faust, ("output", "folder"), small, share=0.01),
    ]


def run(brokers: str, registry_url: str, rows: int, only: Sequence[str] = ()) -> list[Finding]:
    """Measure one runner after the other: all, or those with one of `only` in their name.

    Units: `rows` orders in the topic; the first third of a runner's share is warm-up.
    """
    chosen = [runner for runner in runners() if not only or any(part in runner.name for part in only)]
    fill(brokers, registry_url, rows)
    results: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as made:
        for number, runner in enumerate(chosen):
            place = Place(brokers, registry_url, f"bench.out{number}", Path(made) / str(number))
            results[runner.name] = _measured(runner, place, int(rows * runner.share))
    return findings(chosen, results)


def _measured(runner: Runner, place: Place, rows: int) -> Measured:
    place.folder.mkdir()
    Path(place.schema_file).write_text(avro())
    kafka_topics.ensure(
        Connection(place.brokers), {place.output: _PARTITIONS, f"{place.output}.quarantine": _PARTITIONS}
    )
    sys.stderr.write(f"measuring {runner.name} over {rows:,} rows\n")
    return measure(
        runner.commands(place),
        Progress(place.brokers, place.output, _PARTITIONS),
        input_rows=rows,
        output_share=_OUTPUT_SHARE,
        warm_rows=rows // 3,
        limit_s=_LIMIT_S,
        log=place.folder / "log",
    )


def findings(measured: Sequence[Runner], results: dict[str, Measured]) -> list[Finding]:
    """Every runner's own figures, and ours over each peer's where both were measured."""
    found = []
    for name, theirs in results.items():
        found.append(Finding("stage", f"{name}: rows a second", theirs.rows_s, "rows/s"))
        found.append(Finding("stage", f"{name}: CPU", theirs.cpu_s_per_million, "CPU s / million rows"))
        found.append(Finding("stage", f"{name}: memory", theirs.rss_bytes / 2**20, "MiB"))
    for peer in measured:
        theirs = results[peer.name]
        for name in (each.name for each in peer.beside if each.name in results):
            ours = results[name]
            faster, saving = ours.rows_s / theirs.rows_s, theirs.cpu_s_per_million / ours.cpu_s_per_million
            found.append(Finding("stage", f"{name}: throughput", ours.rows_s, "rows/s", peer.name, faster))
            found.append(
                Finding(
                    "stage", f"{name}: CPU economy", ours.cpu_s_per_million, "CPU s / million rows", peer.name, saving
                )
            )
    return found
