"""What the streaming services share as processes: settings, the datasets they work on, a thread for each piece of work.

Each piece of a dataset's work runs in a thread of its own, so that one that fails stops with an incident while the
others go on. A process ends with 0 when it is told to stop, and with 1 when it cannot work at all.
"""

import gc
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prometheus_client import start_http_server
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.contract import Contract
from headrace.errors import Fatal, Fenced, Held, Transient
from headrace.stream import log as logs
from headrace.stream import metrics, topics
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection, Followed
from headrace.stream.kafka import topics as kafka_topics
from headrace.stream.notices import Notices
from headrace.stream.registry import Registry

log = logging.getLogger(__name__)


class ServiceSettings(BaseSettings):
    """What every service is told by its environment, as `HEADRACE_<NAME>`. Read once, at start."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid")

    bootstrap_servers: str = Field("127.0.0.1:9092", description="The Kafka brokers.")
    registry_url: str = Field(
        "http://127.0.0.1:8081/apis/ccompat/v7", description="The schema registry, Confluent API."
    )
    kafka_options: dict[str, str] = Field({}, description="More librdkafka properties (TLS, SASL), as a JSON object.")
    instance: str = Field("0", description="Names this process among its kind; the same after a restart.")
    data_dir: Path = Field(Path(".headrace"), description="Where the service may keep files.")
    metrics_host: str = Field("127.0.0.1", description="Where /metrics listens.")
    metrics_port: int = Field(0, description="The port of /metrics; 0 is none.")
    log_level: str = Field("info", description="debug, info, warning or error.")
    max_batch_rows: int = Field(50_000, ge=1, description="The most records in one transaction.")
    session_timeout_ms: int = Field(
        10_000, description="After this long without a sign of life a member's work goes to others."
    )
    transaction_timeout_ms: int = Field(15_000, description="The broker aborts a transaction that is open for longer.")

    def connection(self) -> Connection:
        """How to reach the brokers."""
        return Connection(self.bootstrap_servers, self.kafka_options)


@dataclass(frozen=True, slots=True)
class LiveDataset:
    """The version of a dataset that is live."""

    name: str
    version: int
    generation: int
    state: str  # active, paused or retired
    contract: Contract


class Worker(Protocol):
    """A piece of a dataset's work, run by a thread of its own. A `Pump` is one."""

    @property
    def name(self) -> str: ...

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop. Errors: Fenced and Transient (it is built anew), any other (it ends with an incident)."""
        ...


#: The pieces of a dataset's work, each as a function that builds its worker: called by the thread that will run it,
#: and again whenever the worker has to join anew.
WorkersFor = Callable[[LiveDataset], Iterable[Callable[[], Worker]]]


def live_datasets(connection: Connection, registry: Registry) -> Followed[LiveDataset]:
    """The datasets as they are live, kept in step with their topic."""
    controls = Controls(registry)

    def decode(value: bytes) -> LiveDataset:
        record = controls.decode(value)
        return LiveDataset(
            record["name"],
            record["version"],
            record["generation"],
            record["state"],
            Contract.from_json(record["document"]),
        )

    return Followed(connection, topics.DATASETS, decode)


class Lane:
    """The threads that work on one version of one dataset."""

    _REBUILD_S = 2.0

    def __init__(
        self,
        dataset: LiveDataset,
        workers_for: WorkersFor,
        on_failure: Callable[[LiveDataset, str, BaseException], None],
        needs: object = None,
    ) -> None:
        self.dataset = dataset
        self.needs = needs
        self._workers_for = workers_for
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Let the workers run, each in its thread."""
        for build in self._workers_for(self.dataset):
            thread = threading.Thread(target=self._run, args=(build,), name=self.dataset.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask the workers to finish what they are at."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the workers to end. Returns whether all did."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, build: Callable[[], Worker]) -> None:
        while not self._stopping.is_set():
            try:
                worker = build()
                threading.current_thread().name = worker.name
                worker.run(self._stopping)
            except (Fenced, Transient) as error:
                log.warning("joining again: %s", error, extra={"dataset": self.dataset.name})
                self._stopping.wait(self._REBUILD_S)
            except BaseException as error:  # a panic of native code is not an Exception; nothing may end in silence
                self._on_failure(self.dataset, threading.current_thread().name, error)
                return


class Lanes:
    """Keeps one lane for each active dataset, always of its live version and of what else `needs_of` says it works with."""

    _PATIENCE_S = 20.0

    def __init__(
        self,
        service: str,
        workers_for: WorkersFor,
        on_start: Callable[[LiveDataset], None],
        on_failure: Callable[[LiveDataset, str, BaseException], None],
        needs_of: Callable[[LiveDataset], object] = lambda _: None,
    ) -> None:
        self._service = service
        self._workers_for = workers_for
        self._on_start = on_start
        self._on_failure = on_failure
        self._needs_of = needs_of
        self._lanes: dict[str, Lane] = {}

    def follow(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Start what is new, restart what changed, stop what is paused, retired or gone."""
        wanted = {name: (dataset, self._needs_of(dataset)) for name, dataset in datasets.items()}
        self._end([name for name, lane in self._lanes.items() if wanted.get(name) != (lane.dataset, lane.needs)])
        for name, (dataset, needs) in wanted.items():
            if dataset.state == "active" and name not in self._lanes:
                log.info("working on version %d", dataset.version, extra={"dataset": name})
                self._lanes[name] = Lane(dataset, self._workers_for, self._on_failure, needs)
                self._on_start(dataset)
                self._lanes[name].start()
        states = [dataset.state for dataset in datasets.values()]
        for state in ("active", "paused", "retired"):
            metrics.DATASETS.labels(self._service, state).set(states.count(state))

    def close(self) -> None:
        """Stop everything."""
        self._end(list(self._lanes))

    def _end(self, names: Sequence[str]) -> None:
        """Stop these lanes side by side. One that takes too long runs out on its own: its successor shuts it out."""
        ending = {name: self._lanes.pop(name) for name in names}
        for lane in ending.values():
            lane.stop()
        deadline = time.monotonic() + self._PATIENCE_S
        for name, lane in ending.items():
            if not lane.join(max(0.0, deadline - time.monotonic())):
                log.error("did not stop in %g s", self._PATIENCE_S, extra={"dataset": name})


def relax_collector() -> None:
    """Let Python's cycle collector run less often.

    A batch makes tens of thousands of short-lived objects without cycles; at the default threshold the collector
    looks through them some thirty times a batch, which took a third of a stage's CPU time.
    """
    gc.set_threshold(200_000, 20, 100)


def run_service(
    service: str,
    settings: ServiceSettings,
    workers_for: WorkersFor,
    on_datasets: Callable[[Mapping[str, LiveDataset]], None] = lambda _: None,
    needs_of: Callable[[LiveDataset], object] = lambda _: None,
) -> int:
    """Work on every live dataset until SIGTERM or SIGINT. Returns the exit code.

    `on_datasets` is told which datasets there are, whenever their topic was looked at. `needs_of` is asked then what else
    the work on a dataset depends on: when that is another value than before, the work begins anew, as with a new version.
    """
    logs.configure(service, settings.instance, settings.log_level)
    relax_collector()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.metrics_host)
    connection, registry = settings.connection(), Registry(settings.registry_url)
    notices = Notices(connection, registry, service, settings.instance)
    held: set[str] = set()

    def failed(dataset: LiveDataset, worker: str, error: BaseException) -> None:
        if isinstance(error, Held):
            log.warning("%s", error, extra={"dataset": dataset.name})
            held.add(dataset.name)
            notices.incident(
                "row_held", dataset.name, str(error), {"version": dataset.version, "worker": worker, **error.about}
            )
            return
        message = f"{service} stopped working on {dataset.name} ({worker}): {error}"
        log.error(message, exc_info=error, extra={"dataset": dataset.name})
        data = {"version": dataset.version, "worker": worker, "error": type(error).__name__}
        notices.incident("dataset_stopped", dataset.name, message, data)

    def started(dataset: LiveDataset) -> None:
        if dataset.name in held:
            held.discard(dataset.name)
            notices.resolved(
                "row_held", dataset.name, f"somebody decided about the row of {dataset.name} that was held"
            )
        notices.resolved("dataset_stopped", dataset.name, f"{service} works on {dataset.name} again")

    lanes = Lanes(service, workers_for, started, failed, needs_of)
    try:
        _follow(connection, registry, lanes, on_datasets, stopping)
    except Fatal:
        log.exception("cannot go on")
        return 1
    finally:
        lanes.close()
    log.info("stopped")
    return 0


def _follow(
    connection: Connection,
    registry: Registry,
    lanes: Lanes,
    on_datasets: Callable[[Mapping[str, LiveDataset]], None],
    stopping: threading.Event,
) -> None:
    datasets: Followed[LiveDataset] | None = None
    try:
        while not stopping.is_set():
            try:
                if datasets is None:
                    kafka_topics.ensure_control(connection)
                    kafka_topics.warn_of_lost_positions(connection)
                    datasets = live_datasets(connection, registry)
                    log.info("started")
                datasets.refresh()
                on_datasets(datasets.state)
                lanes.follow(datasets.state)
            except Transient as error:
                log.warning("waiting: %s", error)
                stopping.wait(1.0)
            stopping.wait(0.5)
    finally:
        if datasets is not None:
            datasets.close()
