"""Reads files as ingest does, without a broker."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.connector import SourceRow
from headrace.connector.limits import Limits
from services.ingest.connectors.file.connector import READERS, FileConnector
from services.ingest.connectors.file.format import FileOptions
from services.ingest.connectors.file.storage.local import LocalFiles
from services.ingest.connectors.folders import Folders


@dataclass
class Read:
    """Everything one pass over a source gave."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejected: list[SourceRow] = field(default_factory=list)
    position: str | None = None

    @property
    def table(self) -> pa.Table:
        return pa.concat_tables([pa.Table.from_batches([each]) for each in self.batches], promote_options="default")

    def column(self, name: str) -> list[Any]:
        """The values of a column, in order."""
        values: list[Any] = self.table.column(name).to_pylist() if self.batches else []
        return values

    @property
    def reasons(self) -> dict[int, str]:
        """Line -> reason."""
        return {int(row.source.rpartition(":")[2]): row.reason for row in self.rejected}


def connector(
    folder: Path,
    path: str,
    schema: pa.Schema | None = None,
    limits: Limits | None = None,
    *,
    whole: bool = False,
    **options: Any,
) -> FileConnector:
    """A connector for files in `folder`."""
    settings = FileOptions(**{"path": path, "settle_s": 0.0, **options})
    formats = {name: made(settings, schema) for name, made in READERS.items()}
    return FileConnector(settings, formats, LocalFiles(path, Folders(folder)), limits, whole=whole)


def read(source: FileConnector, position: str | None = None, most: int | None = None) -> Read:
    """Read what is there now, or the first `most` steps of it."""
    found = Read(position=position)
    for number, (fetched, reached) in enumerate(source.read(position), start=1):
        if fetched.rows.num_rows:
            found.batches.append(fetched.rows)
        found.rejected.extend(fetched.rejected)
        found.position = reached
        if number == most:
            break
    return found
