"""The tables of the gateway's database. Portable: SQLite and PostgreSQL hold the same schema."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in time. SQLite keeps no zone, so what goes in is UTC and what comes out says so."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, _: Dialect) -> datetime | None:
        at: datetime | None = value
        if at is None:
            return None
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

_NAME = Text()  # no limit: a long name in a control topic must not stop the fold

#: What is live: folded from `_headrace.datasets`, never written from anywhere else.
DATASETS: Final = Table(
    "datasets",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("document", Text, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("applied_by", _NAME, nullable=False),
    Column("tests_skipped", Text, nullable=False, server_default=""),
    Column("live_since", UtcDateTime, nullable=True),
    Column("live_by", _NAME, nullable=False, server_default=""),
    Column("live_because", Text, nullable=False, server_default=""),
    Column("beside", Text, nullable=False, server_default="[]"),  # JSON
)

#: Every version that was ever seen live, from the same topic.
DATASET_VERSIONS: Final = Table(
    "dataset_versions",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("generation", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("applied_by", _NAME, nullable=False),
    Column("tests_skipped", Text, nullable=False, server_default=""),
)

#: How far each source has been read, folded from `_headrace.source-positions`.
SOURCE_POSITIONS: Final = Table(
    "source_positions",
    METADATA,
    Column("dataset", _NAME, primary_key=True),
    Column("rows_read", BigInteger, nullable=False),
    Column("caught_up", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),
)

#: The sources that are paused, folded from `_headrace.source-wishes`.
SOURCE_PAUSES: Final = Table(
    "source_pauses",
    METADATA,
    Column("dataset", _NAME, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("because", Text, nullable=False),
)

#: What sources keep outside of Headrace, folded from `_headrace.source-holdings`.
SOURCE_HOLDINGS: Final = Table(
    "source_holdings",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("dataset", _NAME, nullable=False),
    Column("state", _NAME, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("because", Text, nullable=False),
    Column("message", Text, nullable=False),
)

#: The latest open incident of each service that stopped working on a dataset, folded from `_headrace.incidents`.
INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("dataset", _NAME, primary_key=True),
    Column("service", _NAME, primary_key=True),
    Column("id", _NAME, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", Text, nullable=False),
)

#: What was decided by hand and stands, folded from `_headrace.overrides`.
OVERRIDES: Final = Table(
    "overrides",
    METADATA,
    Column("key", _NAME, primary_key=True),
    Column("id", _NAME, nullable=False),
    Column("dataset", _NAME, nullable=False),
    Column("act", _NAME, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("because", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("from_offset", BigInteger, nullable=False),
    Column("to_offset", BigInteger, nullable=False),
    Column("rule", _NAME, nullable=False),
)

#: Which secrets there are, folded from `_headrace.secrets` without what is sealed in them.
SECRETS: Final = Table(
    "secrets",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("key_id", _NAME, nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    Column("set_by", _NAME, nullable=False),
    Column("kept_for", _NAME, nullable=True),
)

#: When bearer tokens were used; what they are worth stands in `_headrace.access`.
TOKEN_USES: Final = Table(
    "token_uses",
    METADATA,
    Column("id", _NAME, primary_key=True),
    Column("last_used_at", UtcDateTime, nullable=False),
)


def _whose() -> tuple[Column[Any], ...]:
    return (
        Column("dataset", _NAME, primary_key=True),
        Column("generation", Integer, primary_key=True, autoincrement=False),
        Column("stage", _NAME, primary_key=True),
    )


#: All a stage has done with one partition.
LEDGER_SUMS: Final = Table(
    "ledger_sums",
    METADATA,
    *_whose(),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in (
            "entries",
            "rows_in",
            "in_hash",
            "emitted",
            "emitted_hash",
            "rows_out",
            "out_hash",
            "filtered_hash",
            "quarantined_hash",
            "bytes_in",
        )
    ),
    Column("last_commit_at", UtcDateTime, nullable=False),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("parked_hash", "released_hash")),
)

#: Rows that did not go on, or came back: `fate` is filtered, quarantined, resubmitted, discarded, parked or released; `cause`
#: the rule or the reason.
LEDGER_FATES: Final = Table(
    "ledger_fates",
    METADATA,
    *_whose(),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("fate", String(16), primary_key=True),
    Column("cause", _NAME, primary_key=True),
    Column("rows", BigInteger, nullable=False),
)

#: What a stage did in one short stretch of time, for rate and latency.
LEDGER_ACTIVITY: Final = Table(
    "ledger_activity",
    METADATA,
    *_whose(),
    Column("start_s", BigInteger, primary_key=True, autoincrement=False),
    Column("rows_in", BigInteger, nullable=False),
    Column("rows_out", BigInteger, nullable=False),
    Column("latency", JSON, nullable=False),
)

#: The next offset to fold of each control topic's partition, stored in the transaction that stores the sums.
FOLD_OFFSETS: Final = Table(
    "fold_offsets",
    METADATA,
    Column("topic", _NAME, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)
