"""Where a dataset's rows come from, and the settings each connector has."""

from typing import Annotated, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints

from headrace.contract.fields import LogicalType
from headrace.contract.section import Section

MAX_RECORD_BYTES = 1_000_000
MOST_RECORD_BYTES = 4_000_000  # in quarantine it stands as base64 beside its decoded fields, in one Kafka message

OneCharacter = Annotated[str, StringConstraints(min_length=1, max_length=1)]


class _Source(Section):
    columns: dict[str, LogicalType] = Setting(
        {},
        description="Source columns whose type should not be guessed, by name: `time_hour: timestamp`. "
        "Types are the words of `logicalType`.",
    )
    max_record_bytes: int = Setting(
        MAX_RECORD_BYTES,
        ge=1,
        le=MOST_RECORD_BYTES,
        description="A row that is larger than this once encoded, with its key, is quarantined (too_large).",
    )


class CsvOptions(Section):
    """How a CSV file is written."""

    delimiter: OneCharacter = Setting(",", description="What stands between two values.")
    quote: OneCharacter = Setting('"', description="What encloses a value that holds a delimiter or a line break.")
    header: bool = Setting(
        True, description="Whether the first line names the columns. Without one they are column0, column1, ..."
    )
    null_values: list[str] = Setting([""], description="The texts that stand for a missing value.")
    encoding: Literal["utf-8", "utf-16", "latin-1", "cp1252"] = Setting(
        "utf-8", description="How the file's characters are encoded."
    )


class FileSource(_Source):
    """Files that are read from the start, then watched for more."""

    type: Literal["file"] = Setting(description="The connector.")
    path: str = Setting(
        min_length=1,
        description="A file or a glob such as `data/flights-*.csv`. A relative path starts at the data folder of ingest; "
        "an absolute one must lie in it, or in a folder of HEADRACE_SOURCE_ROOTS.",
    )
    format: Literal["auto", "csv", "jsonl", "parquet"] = Setting(
        "auto", description="The file format; `auto` goes by the file name's ending."
    )
    csv: CsvOptions = Setting(CsvOptions(), description="How CSV files are written; other formats ignore it.")


class HttpPushSource(_Source):
    """Rows that are sent to ingest by HTTP POST."""

    type: Literal["http_push"] = Setting(description="The connector.")
    format: Literal["auto", "json", "ndjson", "arrow"] = Setting(
        "auto",
        description="What a request's body holds: a JSON array of objects, one object a line, or an Arrow stream; "
        "`auto` goes by the request's Content-Type.",
    )


Source = Annotated[FileSource | HttpPushSource, Setting(discriminator="type")]
