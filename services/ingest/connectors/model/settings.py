"""What a dataset file says of a model."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import Field as Setting
from pydantic import field_validator, model_validator

from headrace.contract.contributing import Contributing
from headrace.contract.source import SourceSettings
from headrace.sql_guard import RefusedQueryError
from services.ingest.connectors.model.contributors import contributing
from services.ingest.connectors.model.partition_setting import STATE, Partition, mentioned, parts
from services.ingest.connectors.model.query import EVERY, ModelQuery, model_query

SINCE: Final = "since"
UNTIL: Final = "until"
_INCREMENTAL: Final = (
    "What is new alone is read between `{since:DateTime64(6, 'UTC')}` and `{until:DateTime64(6, 'UTC')}`"
)
_NO_WINDOW: Final = "of which window the row is, is not kept: rows of the windows before it may be among these"
PARAMETERS: Final = frozenset({SINCE, UNTIL})


class ModelSource(SourceSettings):
    """Rows that a query makes of other datasets, in the warehouse."""

    at_once: ClassVar[bool] = True

    type: Literal["model"] = Setting(description="The connector.")
    sql: str = Setting(
        min_length=1,
        description="One SELECT in ClickHouse's SQL, over `ref('domain.name')` alone.",
    )
    retries: int = Setting(
        8, ge=0, le=20, description="How often a run that fails is tried once more before it is given up."
    )

    lag_s: float = Setting(
        60,
        ge=0,
        le=86_400,
        description="Of an incremental model: how long before now `{until}` is, in seconds. Rows may be that long on their way "
        "from their `_ingested_at` into a topic.",
    )
    partition: Partition | None = Setting(
        None,
        description="By what the result is partitioned: a run then computes the partitions alone whose rows have changed.",
    )
    wait_s: float = Setting(
        3600,
        gt=0,
        le=7 * 86_400,
        description="How long a run waits for what it reads to be complete, in seconds, before it is given up.",
    )

    @property
    def query(self) -> ModelQuery:
        """The SQL as it goes to the warehouse."""
        return model_query(self.sql, PARAMETERS)

    @property
    def incremental(self) -> bool:
        """Whether a run reads what is new since the last one, not everything anew."""
        return bool(self.query.parameters)

    def why_not_loaded(self, mode: str) -> str:
        """See `SourceSettings.why_not_loaded`."""
        if self.partition is not None and mode == "upsert":
            timed = self.schedule is not None and self.schedule.trigger is None
            return (
                ""
                if timed
                else "`replace`, or a source.schedule with `every` or `cron`: by key, it says when a run begins"
            )
        if self.partition is not None:
            return (
                ""
                if mode == "replace"
                else "`replace` or `upsert`: rows of a partition that changed take the place of others"
            )
        if not self.incremental:
            return "" if mode == "replace" else f"`replace`: this query gives every row in each run. {_INCREMENTAL}"
        return "" if mode != "replace" else "`append` or `upsert`: a query with `{since}` gives what is new in each run"

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        del mode
        return "" if self.incremental else f"its query gives every row in each run. {_INCREMENTAL}"

    @property
    def why_no_transform(self) -> str:
        """See `SourceSettings.why_no_transform`."""
        return (
            ""
            if self.partition is None
            else "no transform: with source.partition, rows of partitions that did not change are taken from the dataset itself. "
            "Write it in source.sql"
        )

    @property
    def references(self) -> Collection[str]:
        """See `SourceSettings.references`."""
        return self.query.references

    def reads(self, dataset: str, column: str) -> bool:
        """See `SourceSettings.reads`."""
        named = bool({column.lower(), EVERY} & self.query.mentioned)
        return dataset in self.query.references and (
            named or bool(mentioned(f"SELECT {self.parts.get(dataset, 1)}", [column]))
        )

    @property
    def gives(self) -> Collection[str]:
        """See `SourceSettings.gives`."""
        return self.query.gives if self.partition is None else (*self.query.gives, STATE)

    @property
    def parts(self) -> Mapping[str, str]:
        """Of each dataset that is told apart by partitions the expression over its columns that tells a row's."""
        return {} if self.partition is None else parts(self.partition, self.sql, self.query)

    def contributors(self, row: Mapping[str, Any], made_at: datetime) -> Sequence[Contributing]:
        """See `SourceSettings.contributors`."""
        found = contributing(self.sql, row, {SINCE: datetime.fromtimestamp(0, UTC), UNTIL: made_at})
        return [replace(each, notes=(*each.notes, _NO_WINDOW)) for each in found] if self.incremental else found

    @property
    def attempts(self) -> int | None:
        """See `SourceSettings.attempts`."""
        return self.retries + 1

    @field_validator("sql")
    @classmethod
    def _readable(cls, sql: str) -> str:
        try:
            given = model_query(sql, PARAMETERS).parameters
        except RefusedQueryError as error:
            raise ValueError(f"a query that a model may be: {error}") from error
        if given and given != PARAMETERS:
            raise ValueError("both `{since:...}` and `{until:...}`, or neither: a run reads from one up to the other")
        return sql

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.incremental and (self.schedule is None or self.schedule.trigger is not None):
            raise ValueError("a schedule with `every` or `cron`: it says when an incremental model reads what is new")
        return self

    @model_validator(mode="after")
    def _partitioned(self) -> Self:
        assert self.partition is None or self.parts
        return self
