"""What a dataset file says of a model."""

from collections.abc import Collection
from typing import Final, Literal

from pydantic import Field as Setting
from pydantic import field_validator

from headrace.contract.source import SourceSettings
from headrace.sql_guard import RefusedQueryError
from services.ingest.connectors.model.query import ModelQuery, model_query

SINCE: Final = "since"
UNTIL: Final = "until"
PARAMETERS: Final = frozenset({SINCE, UNTIL})


class ModelSource(SourceSettings):
    """Rows that a query makes of other datasets, in the warehouse."""

    type: Literal["model"] = Setting(description="The connector.")
    sql: str = Setting(
        min_length=1,
        description="One SELECT in ClickHouse's SQL, over `ref('domain.name')` alone.",
    )
    retries: int = Setting(
        3, ge=0, le=20, description="How often a run that fails is tried once more before it is given up."
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
    def references(self) -> Collection[str]:
        """See `SourceSettings.references`."""
        return self.query.references

    @property
    def attempts(self) -> int | None:
        """See `SourceSettings.attempts`."""
        return self.retries + 1

    @field_validator("sql")
    @classmethod
    def _readable(cls, sql: str) -> str:
        try:
            model_query(sql, PARAMETERS)
        except RefusedQueryError as error:
            raise ValueError(f"a query that a model may be: {error}") from error
        return sql
