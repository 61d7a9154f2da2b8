"""The connectors that come with Headrace owe what every connector owes."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.connector import Connector, Surroundings, opened
from headrace.connector.conformance import Conformance, Row
from services.ingest.connectors.file.settings import FileSource
from tests.unit.ingest.writing import write_avro, write_xlsx


def numbered(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": number, "name": f"n{number}"} for number in range(first, first + count)]


class Files:
    """Two files, and a third when there is to be more."""

    def __init__(self, folder: Path, form: str) -> None:
        self._folder = folder
        self._form = form
        self.rows: list[Row] = []
        self.add(), self.add()

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        rows = numbered(len(self.rows), 20)
        file = self._folder / f"{len(self.rows):03}.{self._form}"
        match self._form:
            case "csv":
                file.write_text("id,name\n" + "".join(f"{row['id']},{row['name']}\n" for row in rows))
            case "jsonl":
                file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            case "json":
                file.write_text(json.dumps(rows, indent=1))
            case "avro":
                write_avro(file, rows)
            case "xlsx":
                write_xlsx(file, rows)
            case "csv.gz" | "csv.zst" | "csv.bz2" | "csv.zip":
                with fsspec.open(str(file), "wb", compression="infer") as packed:
                    packed.write(b"id,name\n" + b"".join(f"{row['id']},{row['name']}\n".encode() for row in rows))
            case "zip":
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    for part in (rows[:10], rows[10:]):
                        text = "id,name\n" + "".join(f"{row['id']},{row['name']}\n" for row in part)
                        archive.writestr(f"part-{part[0]['id']}.csv", text)
            case "parquet":
                pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=10)
        self.rows += rows
        return rows

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(FileSource(type="file", path="*"), replace(surroundings, folder=self._folder))

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(FileSource(type="file", path="none.csv"), Surroundings("a.b", folder=self._folder))


@pytest.mark.parametrize(
    "form",
    ["csv", "jsonl", "json", "parquet", "avro", "xlsx", "csv.gz", "csv.zst", "csv.bz2", "csv.zip", "zip"],
)
class TestFiles(Conformance):
    @pytest.fixture
    def source(self, tmp_path: Path, form: str) -> Files:
        return Files(tmp_path, form)
