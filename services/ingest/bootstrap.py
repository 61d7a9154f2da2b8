"""Wires ingest: which worker serves which source."""

from collections.abc import Callable, Iterable

from headrace.connector import Connector, Surroundings, Targets, opened
from headrace.contract import Contract
from headrace.stream.kafka.connection import Connection
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, Worker
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.source_task import SourceTask
from services.ingest.connectors.http_push.desk import Desk
from services.ingest.connectors.http_push.push import PushWriter
from services.ingest.connectors.http_push.settings import HttpPushSource
from services.ingest.core.types import declared_columns
from services.ingest.settings import IngestSettings


def connector_for(contract: Contract, registry: Registry, settings: IngestSettings) -> Connector:
    """The connector of a source that is read, with the schema its topic has now."""
    surroundings = Surroundings(
        dataset=contract.dataset,
        schema=pinned_schema(registry, contract.dataset),
        declared=declared_columns(contract),
        evolution=contract.schema_.evolution,
        batch_rows=settings.max_batch_rows,
        settle_s=settings.settle_s,
        folder=settings.source_dir,
        further_folders=settings.source_roots,
        targets=Targets(settings.source_networks),
        whole=contract.load.mode == "replace",
    )
    return opened(contract.source, surroundings)


class Workers:
    """Builds the workers of each dataset. See `headrace.stream.service.WorkersFor`."""

    def __init__(self, settings: IngestSettings, ownership: Ownership, desk: Desk) -> None:
        self._settings = settings
        self._connection: Connection = settings.connection()
        self._registry = Registry(settings.registry_url)
        self._ownership = ownership
        self._desk = desk

    def __call__(self, dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        """One worker for a source that is read, two for pushes: without and with idempotency keys."""
        if isinstance(dataset.contract.source, HttpPushSource):
            return [lambda: self._push_writer(dataset, False), lambda: self._push_writer(dataset, True)]
        return [lambda: self._source_task(dataset)]

    def _source_task(self, dataset: LiveDataset) -> Worker:
        settings = self._settings
        return SourceTask(
            dataset,
            self._connection,
            self._registry,
            self._ownership,
            lambda: connector_for(dataset.contract, self._registry, settings),
            instance=settings.instance,
            poll_interval_s=settings.poll_interval_s,
            transaction_timeout_ms=settings.transaction_timeout_ms,
        )

    def _push_writer(self, dataset: LiveDataset, keyed: bool) -> Worker:
        return PushWriter(
            dataset,
            self._connection,
            self._registry,
            self._desk,
            keyed=keyed,
            instance=self._settings.instance,
            transaction_timeout_ms=self._settings.transaction_timeout_ms,
        )
