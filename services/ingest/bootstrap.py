"""Wires ingest: which worker serves which source."""

from collections.abc import Callable, Iterable
from threading import Semaphore

import pyarrow as pa

from headrace.connector import Connector, Holdings, HoldingsInMemory, KafkaConnect, Surroundings, Targets, opened
from headrace.contract import Contract
from headrace.stream.control import Controls
from headrace.stream.holdings import HoldingLog
from headrace.stream.kafka.connection import Connection
from headrace.stream.known_secrets import KnownSecrets
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, Worker
from services.ingest.adapters.known_wishes import KnownWishes
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.source_holdings import InUse, SourceHoldings
from services.ingest.adapters.source_secrets import SourceSecrets
from services.ingest.adapters.source_task import SourceTask
from services.ingest.adapters.upstreams import KnownDatasets, Upstreams
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.connectors.http_push.push import PushWriter
from services.ingest.connectors.http_push.settings import HttpPushSource
from services.ingest.core.types import declared_columns, declares_all
from services.ingest.settings import IngestSettings


def known_secrets(settings: IngestSettings) -> KnownSecrets:
    """The secrets that sources may name. Errors: Fatal when the master keys are set wrongly."""
    registry = Registry(settings.registry_url)
    return KnownSecrets(settings.connection(), registry, settings.key_wrapping(), "ingest", settings.instance)


def connector_for(
    contract: Contract,
    settings: IngestSettings,
    secrets: SourceSecrets,
    schema: pa.Schema | None = None,
    holdings: Holdings | None = None,
    turns: Semaphore | None = None,
    upstreams: Upstreams | None = None,
) -> Connector:
    """The connector of a source that is read. `schema` is that of the rows published so far; None looks at it afresh.

    Without `holdings` it is to set nothing up. `turns` and `upstreams` are for models.
    """
    surroundings = Surroundings(
        dataset=contract.dataset,
        schema=schema,
        declared=declared_columns(contract),
        declares_all=declares_all(contract),
        evolution=contract.schema_.evolution,
        batch_rows=settings.max_batch_rows,
        settle_s=settings.settle_s,
        folder=settings.source_dir,
        further_folders=settings.source_roots,
        secret=secrets.secret,
        keep_secret=secrets.keep,
        targets=Targets(settings.source_networks),
        kafka={"bootstrap.servers": settings.bootstrap_servers, **settings.kafka_options},
        registry_url=settings.registry_url,
        connect=KafkaConnect(settings.connect_url, settings.connect_secrets) if settings.connect_url else None,
        limits=settings.limits(),
        holdings=holdings or HoldingsInMemory(),
        warehouse=settings.warehouse(turns),
        upstreams=upstreams,
        whole=contract.load.mode == "replace",
        key=tuple(contract.key) if contract.load.mode == "upsert" else (),
    )
    return opened(contract.source, surroundings)


class Workers:
    """Builds the workers of each dataset. See `headrace.stream.service.WorkersFor`."""

    def __init__(
        self,
        settings: IngestSettings,
        ownership: Ownership,
        desk: Desk,
        secrets: KnownSecrets,
        wishes: KnownWishes,
        in_use: InUse,
        datasets: KnownDatasets,
    ) -> None:
        self._settings = settings
        self._datasets = datasets
        self._turns = Semaphore(settings.models_at_once)
        self._connection: Connection = settings.connection()
        self._registry = Registry(settings.registry_url)
        self._ownership = ownership
        self._desk = desk
        self._secrets = secrets
        self._wishes = wishes
        self._in_use = in_use
        self._holdings = HoldingLog(self._connection, Controls(self._registry))

    def __call__(self, dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        """One worker for a source that is read, two for pushes: without and with idempotency keys."""
        if isinstance(dataset.contract.source, HttpPushSource):
            return [lambda: self._push_writer(dataset, False), lambda: self._push_writer(dataset, True)]
        return [lambda: self._source_task(dataset)]

    def _source_task(self, dataset: LiveDataset) -> Worker:
        settings, source = self._settings, dataset.contract.source

        def connect() -> Connector:
            secrets = SourceSecrets(self._secrets, dataset.name)
            schema, holdings = pinned_schema(self._registry, dataset), SourceHoldings(self._holdings, dataset)
            upstreams = self._upstreams(dataset) if source.references else None
            return connector_for(dataset.contract, settings, secrets, schema, holdings, self._turns, upstreams)

        return SourceTask(
            dataset,
            self._connection,
            self._registry,
            self._ownership,
            connect,
            instance=settings.instance,
            poll_interval_s=settings.poll_interval_s,
            transaction_timeout_ms=settings.transaction_timeout_ms,
            notices=self._secrets.notices,
            wishes=self._wishes,
            in_use=self._in_use.of(dataset.name, source.type) if source.holds else None,
            inputs=self._upstreams(dataset).now,
        )

    def _upstreams(self, dataset: LiveDataset) -> Upstreams:
        return Upstreams(dataset.contract.source.references, self._connection, self._datasets, self._wishes)

    def _push_writer(self, dataset: LiveDataset, keyed: bool) -> Worker:
        return PushWriter(
            dataset,
            self._connection,
            self._registry,
            self._desk,
            keyed=keyed,
            instance=self._settings.instance,
            transaction_timeout_ms=self._settings.transaction_timeout_ms,
            notices=self._secrets.notices,
        )
