"""The system columns: what every record carries from `staged` on, and which stage adds which.

They make the row passport and exactly-once loading possible. Names with a leading underscore are
reserved: a dataset cannot declare one.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")

PARTITION: Final = "_partition"
OFFSET: Final = "_offset"
SEQ: Final = "_seq"
INGESTED_AT: Final = "_ingested_at"
SOURCE_TS: Final = "_source_ts"
OP: Final = "_op"
VERSION: Final = "_version"
FLAGS: Final = "_flags"
QUARANTINE_ID: Final = "_quarantine_id"
ORIGIN_OFFSET: Final = "_origin_offset"
PARKED_AT: Final = "_parked_at"
SCHEMA_ID: Final = "_schema_id"  # of landed rows: which raw schema the record was written with

OPS: Final = ("insert", "update", "delete", "snapshot")

RAW_FIELDS: Final = (
    # Set by the connector, because only the source knows them.
    pa.field(SOURCE_TS, TIMESTAMP),  # when the source says the row changed; null when it does not say
    pa.field(OP, pa.string(), nullable=False),  # one of OPS
)

STAGED_FIELDS: Final = (
    pa.field(PARTITION, pa.int32(), nullable=False),  # of the raw record
    pa.field(OFFSET, pa.int64(), nullable=False),  # of the raw record: with _partition, the row's identity
    pa.field(SEQ, pa.int32(), nullable=False),  # 0; 1.. where one row became several
    pa.field(INGESTED_AT, TIMESTAMP, nullable=False),  # broker timestamp of the raw record
    *RAW_FIELDS,
    pa.field(VERSION, pa.int32(), nullable=False),  # of the dataset file that was live
)

TRANSFORMED_FIELDS: Final = (
    *STAGED_FIELDS,
    pa.field(FLAGS, pa.list_(pa.field("item", pa.string(), nullable=False)), nullable=False),  # checks that flagged it
)

#: What only rows have that were resubmitted from quarantine, from the raw topic on.
RESUBMITTED_FIELDS: Final = (
    pa.field(QUARANTINE_ID, pa.string()),  # which quarantined row this was: its place in the quarantine topic
    # Of the raw record whose place in time the row takes: among the rows of its key it is as old as that one. Only where
    # the newest row of a key counts. The rows of another dataset have it, too: as old as they are there, behind all that was
    # here before (`services.ingest.connectors.dataset`).
    pa.field(ORIGIN_OFFSET, pa.int64()),
)

#: What only rows have that waited for their parent, from the transformed topic on: since when. They stand there behind rows that
#: are younger.
PARKED_FIELD: Final = pa.field(PARKED_AT, TIMESTAMP)

#: What only some rows have, and keep on their way.
MARKS: Final = (*RESUBMITTED_FIELDS, PARKED_FIELD)

IDENTITY: Final = (PARTITION, OFFSET, SEQ)


def age_of(rows: pa.RecordBatch) -> pa.Array:
    """The raw offset that says how old each row is among those of its key: its own, or that of what it was before it was
    resubmitted."""
    offset = rows.column(OFFSET)
    return pc.coalesce(rows.column(ORIGIN_OFFSET), offset) if ORIGIN_OFFSET in rows.schema.names else offset


def user_columns(schema: pa.Schema) -> list[str]:
    """The names of the columns that belong to the dataset's owner, in order."""
    return [name for name in schema.names if not name.startswith("_")]
