"""What a dataset file says of files."""

from typing import Annotated, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints

from headrace.contract.section import Section
from headrace.contract.source import SourceSettings

OneCharacter = Annotated[str, StringConstraints(min_length=1, max_length=1)]


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


class FileSource(SourceSettings):
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
