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
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

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
from headrace.stream.retirement import Estate, Retirements

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
    """A version of a dataset, and the generation it makes: the live one, or one of those `beside` it.

    `role` is live, candidate or kept. `promotion` numbers the records that made one of its generations the live one: those that
    came later have a greater number; 0 is live from the first.
    """

    name: str
    version: int
    generation: int
    state: str  # active, paused or retired
    contract: Contract
    role: str = "live"
    promotion: int = 0
    beside: tuple["LiveDataset", ...] = ()
    retired: tuple[int, ...] = ()  # numbers of generations
    ingested_from: datetime | None = None  # of a generation that holds only rows ingested then or later,
    ingested_to: datetime | None = None  # ... and before

    @property
    def promoted(self) -> bool:
        """Whether the live one was another before."""
        return self.promotion > 0

    def alone(self) -> "LiveDataset":
        """Without what is beside it, so that its work goes on when something comes or goes there."""
        return replace(self, beside=(), retired=())


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LIVE: Final = "live"
RETIRED: Final = "retired"


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

#: The generations of a dataset that a service works on.
Generations = Callable[[LiveDataset], Iterable[LiveDataset]]


def live_datasets(connection: Connection, registry: Registry) -> Followed[LiveDataset]:
    """The datasets as they are live, kept in step with their topic."""
    controls = Controls(registry)

    return Followed(connection, topics.DATASETS, lambda value: _live(controls.decode(value)))


def _live(record: Mapping[str, Any]) -> LiveDataset:
    """The live generation that a record tells of, with those beside it."""

    def one(fields: Mapping[str, Any], role: str) -> LiveDataset:
        contract = Contract.from_json(fields["document"])
        made = LiveDataset(record["name"], fields["version"], fields["generation"], record["state"], contract, role)
        return replace(made, ingested_from=fields.get("ingested_from"), ingested_to=fields.get("ingested_to"))

    others: Sequence[Mapping[str, Any]] = record.get("beside", ())
    since: datetime | None = record.get("live_since")  # the gateway sees to it that it only ever grows
    return replace(
        one(record, LIVE),
        promotion=0 if since is None else (since - _EPOCH) // timedelta(microseconds=1),
        beside=tuple(one(each, each["state"]) for each in others if each["state"] != RETIRED),
        retired=tuple(each["generation"] for each in others if each["state"] == RETIRED),
    )


def live_only(dataset: LiveDataset) -> Iterable[LiveDataset]:
    """The generations that a service works on which all of them share."""
    return (dataset.alone(),)


def every_generation(dataset: LiveDataset) -> Iterable[LiveDataset]:
    """The generations that a service works on for each of them."""
    return (dataset.alone(), *dataset.beside)


class Incidents(Protocol):
    """Where it is told: `headrace.stream.notices.Notices`."""

    def incident(
        self, kind: str, dataset: str | None, message: str, data: Mapping[str, Any], about: str = ""
    ) -> None: ...

    def resolved(self, kind: str, dataset: str | None, message: str, about: str = "") -> None: ...


class LaneNotices:
    """Tells people of the lanes of a service. What is over it says of what any process before this one may have told."""

    def __init__(self, service: str, instance: str, notices: Incidents) -> None:
        self._service = service
        self._instance = instance
        self._notices = notices

    def failed(self, dataset: LiveDataset, worker: str, error: BaseException) -> None:
        """A worker has ended."""
        data: dict[str, Any] = {"version": dataset.version, "worker": worker}
        if isinstance(error, Held) and dataset.role == LIVE:
            log.warning("%s", error, extra={"dataset": dataset.name})
            self._notices.incident("row_held", dataset.name, str(error), {**data, **error.about})
            return
        message = f"{self._service} stopped working on {dataset.name} ({worker}): {error}"
        log.error(message, exc_info=error, extra={"dataset": dataset.name})
        data["error"] = type(error).__name__
        if dataset.role == LIVE:
            self._notices.incident("dataset_stopped", dataset.name, message, data)
            return
        data["generation"] = dataset.generation
        told = f"generation {dataset.generation}: {message}"
        self._notices.incident("generation_stopped", dataset.name, told, data, self._about(dataset.generation))

    def started(self, dataset: LiveDataset) -> None:
        """The work on a dataset begins. A row that is still held is told of again when it is come to."""
        again = f"{self._service} works on {dataset.name} again"
        if dataset.role == LIVE:
            for kind in ("dataset_stopped", "row_held"):
                self._notices.resolved(kind, dataset.name, again)
        if dataset.role != LIVE or dataset.promoted:
            self._notices.resolved("generation_stopped", dataset.name, again, self._about(dataset.generation))

    def dropped(self, name: str, generation: int) -> None:
        """What was left of a generation is gone."""
        over = f"generation {generation} of {name} is retired"
        self._notices.resolved("generation_stopped", name, over, self._about(generation))

    def _about(self, generation: int) -> str:
        return f"{self._service} {self._instance} g{generation}"


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
    """Keeps a lane for each generation of an active dataset that `generations` names.

    It is always of its present version, and of what else `needs_of` says it works with.
    """

    _PATIENCE_S = 20.0

    def __init__(
        self,
        service: str,
        workers_for: WorkersFor,
        on_start: Callable[[LiveDataset], None],
        on_failure: Callable[[LiveDataset, str, BaseException], None],
        needs_of: Callable[[LiveDataset], object] = lambda _: None,
        generations: Generations = live_only,
    ) -> None:
        self._service = service
        self._generations = generations
        self._workers_for = workers_for
        self._on_start = on_start
        self._on_failure = on_failure
        self._needs_of = needs_of
        self._lanes: dict[tuple[str, int], Lane] = {}

    def follow(self, datasets: Mapping[str, LiveDataset]) -> None:
        """Start what is new, restart what changed, stop what is paused, retired or gone."""
        every = [each for dataset in datasets.values() for each in self._generations(dataset)]
        wanted = {(each.name, each.generation): (each, self._needs_of(each)) for each in every}
        self._end([at for at, lane in self._lanes.items() if wanted.get(at) != (lane.dataset, lane.needs)])
        for at, (dataset, needs) in wanted.items():
            if dataset.state == "active" and at not in self._lanes:
                log.info("working on version %d", dataset.version, extra={"dataset": dataset.name})
                self._lanes[at] = Lane(dataset, self._workers_for, self._on_failure, needs)
                self._on_start(dataset)
                self._lanes[at].start()
        states = [dataset.state for dataset in datasets.values()]
        for state in ("active", "paused", "retired"):
            metrics.DATASETS.labels(self._service, state).set(states.count(state))

    def close(self) -> None:
        """Stop everything."""
        self._end(list(self._lanes))

    def _end(self, places: Sequence[tuple[str, int]]) -> None:
        """Stop these lanes side by side. One that takes too long runs out on its own: its successor shuts it out."""
        ending = {at: self._lanes.pop(at) for at in places}
        for lane in ending.values():
            lane.stop()
        deadline = time.monotonic() + self._PATIENCE_S
        for (name, _), lane in ending.items():
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
    estate: Estate | None = None,
) -> int:
    """Work on every live dataset until SIGTERM or SIGINT. Returns the exit code.

    `on_datasets` is told which datasets there are, whenever their topic was looked at. `needs_of` is asked then what else
    the work on a dataset depends on: when that is another value than before, the work begins anew, as with a new version.
    A service that has an `estate` works on each generation of a dataset, and drops what is its own of those that are retired.
    """
    logs.configure(service, settings.instance, settings.log_level)
    relax_collector()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.metrics_host)
    connection, registry = settings.connection(), Registry(settings.registry_url)
    told = LaneNotices(service, settings.instance, Notices(connection, registry, service, settings.instance))

    lanes = Lanes(service, workers_for, told.started, told.failed, needs_of, every_generation if estate else live_only)
    retirements = Retirements(connection, registry, estate, told.dropped) if estate else None

    def follow(datasets: Mapping[str, LiveDataset]) -> None:
        on_datasets(datasets)
        lanes.follow(datasets)
        if retirements is not None:
            retirements.follow((name, number) for name, dataset in datasets.items() for number in dataset.retired)

    try:
        _follow(connection, registry, follow, stopping)
    except Fatal:
        log.exception("cannot go on")
        return 1
    finally:
        lanes.close()
        if retirements is not None:
            retirements.close()
    log.info("stopped")
    return 0


def _follow(
    connection: Connection,
    registry: Registry,
    follow: Callable[[Mapping[str, LiveDataset]], None],
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
                follow(datasets.state)
            except Transient as error:
                log.warning("waiting: %s", error)
                stopping.wait(1.0)
            stopping.wait(0.5)
    finally:
        if datasets is not None:
            datasets.close()
