"""The schema a dataset's raw topic has in the registry: what later rows are read with."""

import pyarrow as pa

from headrace.stream import columns, topics
from headrace.stream.codec import Codec
from headrace.stream.registry import Schemas


def pinned_schema(registry: Schemas, dataset: str) -> pa.Schema | None:
    """The source's columns as registered; None before the first record. Errors: Transient."""
    found = registry.latest(topics.subject(topics.raw(dataset)))
    if found is None:
        return None
    schema = Codec(found[1]).arrow_schema
    return pa.schema([schema.field(name) for name in columns.user_columns(schema)])
