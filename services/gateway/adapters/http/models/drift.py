"""Bodies: how the source of a dataset drifts, and what is decided about it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from headrace.contract import FileEdit
from headrace.contract.fields import LogicalType
from services.gateway.adapters.http.models.datasets import Change, ColumnReader
from services.gateway.adapters.http.models.words import Answer, Body, Rows
from services.gateway.core.drift import Act


class DriftHits(Answer):
    """What depends on a column of the source."""

    columns: list[str] = Field(description="Columns of the published table that are computed from it.")
    unsure: list[str] = Field(description="Those that may be: the SQL alone does not tell.")
    dropped_by: list[str] = Field(description="Conditions of the SQL that read it, and can drop the row.")
    checks: list[str] = Field(description="Checks of these columns.")
    settings: list[str] = Field(description="Settings of the file that name these columns.", examples=[["key"]])
    readers: list[ColumnReader]


class DriftItem(Answer):
    """Open rows that ingest set aside for one column, and one reason."""

    column: str
    reason: Literal["unknown_field", "wrong_type"] = Field(
        description="The column is not declared; or its values do not fit."
    )
    rows: Rows
    since: datetime
    until: datetime
    first: str = Field(description="The id of the row that was set aside first.", examples=["1-4711"])
    place: str | None = Field(description="Where the source had it.", examples=["orders.csv:17"])
    examples: list[Any] = Field(description="Some of its values.")
    likely_type: LogicalType = Field(description="The narrowest type that the values looked at fit.")
    hits: DriftHits


class Drift(Answer):
    """How the source of a dataset drifts; the oldest first. Nothing, when no row is set aside for it."""

    items: list[DriftItem]
    decided: dict[str, Any] = Field(
        description="What was decided before, by column: `source.drift` of the live version."
    )


class DriftChoice(Body):
    """What is to become of a column from now on, and of the rows that were set aside for it."""

    recorded = frozenset({"act", "to", "expression", "type", "because", "dry_run"})

    act: Act = Field(
        description="accept: an unknown column is declared; values that do not fit are kept as text in a column beside. map: the "
        "column is another one under a new name. cast: values that do not fit become what an expression says. leave-out: the "
        "column, or the value that does not fit, is left out. reject: the rows are given up, and the file stays as it is."
    )
    to: str | None = Field(None, max_length=128, description="map: the column it is. accept: where texts are kept.")
    expression: str | None = Field(None, max_length=10_000, description="cast: SQL over the row, of texts.")
    type: LogicalType | None = Field(
        None, description="accept of an unknown column: its type; the likely one when not given."
    )
    because: str = Field(min_length=1, max_length=2000, description="Why; it is kept with each row.")
    dry_run: bool = Field(False, description="Change nothing: say what it would be.")


class DriftEdit(Answer):
    """What a decision changes in the dataset's file: the same edit keeps a file that is kept elsewhere up to date."""

    column: str
    decision: dict[str, Any] | None = Field(description="For `source.drift`.")
    type: LogicalType | None = Field(description="For `source.columns`.")
    publish: tuple[str, LogicalType] | None = Field(description="For `schema.fields`, where any are declared.")

    @classmethod
    def of(cls, edit: FileEdit) -> "DriftEdit":
        """As the API has it."""
        decision = edit.decision.model_dump(exclude_defaults=True) if edit.decision is not None else None
        return cls(column=edit.column, decision=decision, type=edit.type, publish=edit.publish)


class DriftDecided(Answer):
    """What was decided, or would be."""

    column: str
    rows: Rows = Field(description="How many rows were set aside for it.")
    edit: DriftEdit | None = Field(description="None where the file stays as it is.")
    changes: list[Change]
    version: int = Field(description="The live version: the new one, unless nothing changed.")
    request: str | None = Field(description="What to ask for the outcome of the rows by: see quarantine/requests.")
