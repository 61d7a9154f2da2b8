"""What a dataset file says of pushes."""

from typing import ClassVar, Literal

from pydantic import Field as Setting

from headrace.contract.source import SourceSettings


class HttpPushSource(SourceSettings):
    """Rows that are sent to ingest by HTTP POST."""

    ends: ClassVar[bool] = False

    type: Literal["http_push"] = Setting(description="The connector.")
    format: Literal["auto", "json", "ndjson", "arrow"] = Setting(
        "auto",
        description="What a request's body holds: a JSON array of objects, one object a line, or an Arrow stream; "
        "`auto` goes by the request's Content-Type.",
    )
