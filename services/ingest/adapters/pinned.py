"""The schema of a dataset's source rows: what later rows are read with."""

import pyarrow as pa

from headrace.stream import columns, topics
from headrace.stream.codec import Codec
from headrace.stream.registry import Schemas
from headrace.stream.service import LiveDataset
from services.ingest.core.types import declared_columns, with_declared


def pinned_schema(registry: Schemas, dataset: LiveDataset) -> pa.Schema | None:
    """The source's columns: those registered for the raw topic, and those declared since. None before the first record.

    Errors: Transient.
    """
    found = registry.latest(topics.subject(topics.raw(dataset.name)))
    if found is None:
        return None
    schema = Codec(found[1]).arrow_schema
    own = pa.schema([schema.field(name) for name in columns.user_columns(schema)])
    return with_declared(own, declared_columns(dataset.contract))
