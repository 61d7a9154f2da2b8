"""Bodies: dataset files, what applying them would change and did, the sources they name."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from headrace import contract
from headrace.contract import Reader
from services.gateway.adapters.http.models.words import Answer, Body, Warnings

_DOCUMENT = """\
dataset: nyc.airports
description: Airports of the United States.
owner: {team: mobility}
source: {type: file, path: airports.csv}
key: [faa]
load: {mode: upsert}
"""

_SOURCE = """\
source:
  type: sql
  database: postgresql
  host: db.shop.example
  name: shop
  user: headrace
  password: secret://shop-db
  table: public.orders
  cursor: updated_at
  key: [id]
"""


class DatasetFile(Body):
    """A dataset file."""

    document: str = Field(max_length=1_000_000, description="The dataset file, as YAML.", examples=[_DOCUMENT])


class DatasetApplication(DatasetFile):
    """A dataset file that is to go live."""

    recorded = frozenset({"skip_tests"})

    skip_tests: str | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Why its tests are not to be run; kept with the version. Left out: they are run, and must pass.",
    )


class SourceFile(Body):
    """A dataset file of which only the source has to be written."""

    document: str = Field(max_length=1_000_000, description="The dataset file, as YAML.", examples=[_SOURCE])


class SourcePart(Answer):
    """A line of what is said of a source. Which members there are depends on `part`."""

    part: Literal["step", "stream", "end"] = Field(
        description="A step that was tried, a set of rows the source offers, or the end."
    )
    name: str | None = Field(None, description="Of the step or stream.", examples=["connect", "public.orders"])
    ok: bool | None = Field(None, description="Whether the step went well; at the end, whether all did.")
    message: str | None = Field(None, description="What was found, in the source's own words where it has any.")
    field: str | None = Field(None, description="The setting at fault.", examples=["source.password"])
    remedy: str | None = Field(None, description="What to do.")
    took_s: float | None = Field(None, description="How long it took, in seconds.")
    columns: list[dict[str, Any]] | None = Field(
        None, description="Of a stream: `name`, `type`, `null_share`, `unique`, `examples`, `personal` of each."
    )
    keys: list[str] | None = Field(None, description="Columns that identify a row, or may; the likeliest first.")
    keys_declared: bool | None = Field(None, description="Whether the source itself declares the key.")
    cursors: list[str] | None = Field(None, description="Columns that reading can resume by, or may.")
    rows_sampled: int | None = Field(None, description="How many rows were looked at.")
    kind: str | None = Field(None, description="Of a stream that is yet to be chosen.", examples=["table", "view"])
    namespace: str | None = Field(None, description="The schema it is in.", examples=["public"])
    rows_estimated: int | None = Field(None, description="How many rows it has, as the source estimates.")


class Change(Answer):
    """One difference between the live version and the proposed one."""

    path: str = Field(description="Where in the file.", examples=["schema.fields.tailnum"])
    kind: Literal["added", "removed", "changed"]
    before: Any = Field(None, description="The live value.")
    after: Any = Field(None, description="The proposed value.")
    breaking: bool = Field(description="Whether readers or rows already loaded would break.")
    why: str = Field(description="Why it is breaking or not.")


class ColumnReader(Answer):
    """A dataset that reads columns of another."""

    dataset: str
    via: str = Field(description="The dataset it reads them of.")
    reads: list[str] = Field(description="The columns it reads there.")
    columns: list[str] = Field(description="Its own columns that are computed from them, surely or perhaps.")
    checks: list[str] = Field(description="Its checks that refer to them.")

    @classmethod
    def of(cls, reader: Reader) -> "ColumnReader":
        """As column lineage has it."""
        return cls(
            dataset=reader.dataset,
            via=reader.via,
            reads=list(reader.reads),
            columns=[*reader.outputs.columns, *reader.outputs.unsure],
            checks=list(reader.checks),
        )


class Affected(Answer):
    """A column or a rule that another version changes."""

    name: str = Field(description="Of the column or check; a condition as it is written.", examples=["dep_delay"])
    kind: Literal["added", "removed", "changed"]


class Impact(Answer):
    """What another version changes in the table, and who reads it."""

    columns: list[Affected] = Field(
        description="Columns that are computed in another way or of another type, new or gone."
    )
    others: Literal["added", "removed", "changed"] | None = Field(
        None, description="What becomes of the columns that come through `*` and that the file does not name."
    )
    rules: list[Affected] = Field(description="Checks and conditions of the SQL that decide over rows.")
    readers: list[ColumnReader] = Field(description="The datasets that read columns which change.")
    reached: list[str] = Field(
        description="All datasets that lean on this one, when which rows there are may change, or columns the file does not name."
    )

    @classmethod
    def of(cls, found: contract.Impact) -> "Impact":
        """As it follows from the dataset files."""
        return cls(
            columns=[Affected(name=each.name, kind=each.kind) for each in found.columns],
            others=found.others,
            rules=[Affected(name=each.name, kind=each.kind) for each in found.rules],
            readers=[ColumnReader.of(reader) for reader in found.readers],
            reached=list(found.reached),
        )


class Refusal(Answer):
    """Why applying would be refused."""

    code: str = Field(examples=["unknown-parents"])
    detail: str = Field(examples=["apply first what it refers to: nyc.airports"])


class Plan(Answer):
    """What applying a dataset file would do."""

    dataset: str = Field(examples=["nyc.airports"])
    current_version: int | None = Field(description="The live version; null when the dataset is new.")
    next_version: int = Field(description="The version it would have; the live one when nothing changes.")
    changes: list[Change]
    impact: Impact
    needs_generation: bool = Field(description="Whether a change is breaking.")
    refusals: list[Refusal] = Field(description="What stands against applying it; empty when nothing does.")
    warnings: Warnings


class Applied(Answer):
    """What applying a dataset file did."""

    name: str = Field(examples=["nyc.airports"])
    version: int = Field(examples=[1])
    generation: int = Field(examples=[1])
    changed: bool = Field(description="False when this file was live already.")
    warnings: Warnings


class DatasetSummary(Answer):
    """A dataset as it is live."""

    name: str = Field(examples=["nyc.airports"])
    version: int = Field(examples=[1])
    generation: int = Field(examples=[1])
    state: Literal["active", "paused", "retired"]
    description: str
    owner: str = Field(description="The team.", examples=["mobility"])
    tags: list[str]
    applied_at: datetime
    applied_by: str
    tests_skipped: str = Field("", description="Why the tests of this version were not run, if they were not.")


class DatasetDetail(DatasetSummary):
    """A dataset with its file."""

    document: dict[str, Any] = Field(description="The dataset file with every default written out.")


class Datasets(Answer):
    """Every dataset, by name."""

    items: list[DatasetSummary]
