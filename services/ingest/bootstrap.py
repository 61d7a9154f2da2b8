"""Wires ingest: which worker serves which source."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import pyarrow as pa

from headrace.contract import Contract, FileSource
from headrace.stream.kafka.connection import Connection
from headrace.stream.registry import Registry
from headrace.stream.service import LiveDataset, Worker
from services.ingest.adapters.csv_files import CsvFiles
from services.ingest.adapters.desk import Desk
from services.ingest.adapters.file_task import FileTask
from services.ingest.adapters.files import FileConnector, FileOptions, Format
from services.ingest.adapters.jsonl_files import JsonLinesFiles
from services.ingest.adapters.ownership import Ownership
from services.ingest.adapters.parquet_files import ParquetFiles
from services.ingest.adapters.pinned import pinned_schema
from services.ingest.adapters.push import PushWriter
from services.ingest.core.csv import Dialect
from services.ingest.core.types import declared_columns
from services.ingest.settings import IngestSettings


def connector_for(contract: Contract, registry: Registry, settings: IngestSettings) -> FileConnector:
    """The connector of a file source, with the schema its topic has now."""
    source = contract.source
    if not isinstance(source, FileSource):
        raise TypeError(f"{source.type} is not read by a connector")
    options = FileOptions(
        path=source.path,
        format=source.format,
        dialect=Dialect(source.csv.delimiter, source.csv.quote, tuple(source.csv.null_values)),
        header=source.csv.header,
        encoding=source.csv.encoding,
        declared=declared_columns(contract),
        evolution=contract.schema_.evolution,
        max_record_bytes=source.max_record_bytes,
        batch_rows=settings.max_batch_rows,
        settle_s=settings.settle_s,
    )
    schema = pinned_schema(registry, contract.dataset)
    formats = {kind: made(options, schema) for kind, made in _FORMATS.items()}
    return FileConnector(options, formats, settings.source_dir, settings.source_roots)


_FORMATS: Final[Mapping[str, Callable[[FileOptions, pa.Schema | None], Format]]] = {
    "csv": CsvFiles,
    "jsonl": JsonLinesFiles,
    "parquet": ParquetFiles,
}


class Workers:
    """Builds the workers of each dataset. See `headrace.stream.service.WorkersFor`."""

    def __init__(self, settings: IngestSettings, ownership: Ownership, desk: Desk) -> None:
        self._settings = settings
        self._connection: Connection = settings.connection()
        self._registry = Registry(settings.registry_url)
        self._ownership = ownership
        self._desk = desk

    def __call__(self, dataset: LiveDataset) -> Iterable[Callable[[], Worker]]:
        """One worker for a file source, two for pushes: without and with idempotency keys."""
        if isinstance(dataset.contract.source, FileSource):
            return [lambda: self._file_task(dataset)]
        return [lambda: self._push_writer(dataset, False), lambda: self._push_writer(dataset, True)]

    def _file_task(self, dataset: LiveDataset) -> Worker:
        settings = self._settings
        return FileTask(
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
