"""What a dataset file can say: the one model behind validation, the JSON Schema, the reference and the services."""

import json
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic import Field as Setting

from headrace.contract import rules, transform_test_rules
from headrace.contract.checks import Check, DatasetName, named, told_columns
from headrace.contract.fields import Classification, ColumnName, Schema
from headrace.contract.section import Section
from headrace.contract.source import Source
from headrace.contract.transform_tests import TransformTest
from headrace.secrets.reference import Credential, names_in

SlaProperty = Literal[
    "availability",
    "errorRate",
    "freshness",
    "frequency",
    "generalAvailability",
    "latency",
    "throughput",
    "timeOfAvailability",
    "timeToDetect",
    "timeToNotify",
    "timeToRepair",
]
SLA_PROPERTIES: tuple[str, ...] = get_args(SlaProperty)


class Member(Section):
    """Someone who answers for the dataset."""

    username: str = Setting(min_length=1, description="The account or mail address of the person.")
    name: str | None = Setting(None, description="The person's name.")
    role: str | None = Setting(
        None, description="What the person does for the dataset, for example `owner`, `steward`."
    )


class Support(Section):
    """Where to ask."""

    channel: str = Setting(min_length=1, description="The name of the channel, for example `#flights`.")
    url: str | None = Setting(None, description="Its address.")


class Owner(Section):
    """Who answers for the dataset."""

    team: str = Setting(min_length=1, description="The team that owns the dataset.")
    description: str | None = Setting(None, description="What the team does.")
    members: list[Member] = Setting([], description="The people to turn to.")
    support: list[Support] = Setting([], description="The channels to ask in.")


class Transform(Section):
    """What happens to each row between the source and the published table."""

    sql: Annotated[str, Setting(min_length=1)] | None = Setting(
        None,
        description="One row-wise SELECT over `input` (the source's rows) in DuckDB's SQL. It may join reference data "
        "with `JOIN ref('domain.name') AS x ON ...` and use row-wise CTEs; rows that its WHERE drops are counted in "
        "the ledger by condition. Without it, rows pass as they are.",
    )
    hash_key: Credential | None = Setting(
        None,
        description="The key of `keyed_hash()` and `tokenise()` in the SQL: `secret://name`, a secret of at least 32 characters. "
        "Datasets that name the same secret have the same `keyed_hash()` of a value. See docs/personal-data.md.",
    )


class Load(Section):
    """How rows enter the published table."""

    mode: Literal["append", "upsert", "replace"] = Setting(
        "append",
        description="`append` adds every row; `upsert` keeps the latest row of each key; "
        "`replace` reads the whole source anew, in runs, and shows a run at once when all of it is there.",
    )
    may_be_empty: bool = Setting(
        False,
        description="With `replace`: whether a run that brings no row at all may empty the table. Else it is refused, and "
        "the rows of the run before stay.",
    )
    order_by: list[ColumnName] = Setting(
        [],
        description="The columns the table is sorted by on disk, most useful filter first; the key when not given. "
        "With `upsert` these must be the key's columns, in any order.",
    )


class ServiceLevel(Section):
    """One promise to those who read the table."""

    property: SlaProperty = Setting(description="What is promised.")
    value: int | float | str = Setting(description="The promised value.")
    unit: str | None = Setting(None, description="Its unit: `s`, `min`, `h`, `d`, `percent` ...")
    element: ColumnName | None = Setting(None, description="The column it is measured on, where there is one.")
    driver: Literal["regulatory", "analytics", "operational"] | None = Setting(None, description="Why it matters.")
    description: str | None = Setting(None, description="The promise in words.")


class Retention(Section):
    """How long rows are kept."""

    value: int = Setting(ge=1, description="How many units.")
    unit: Literal["h", "d", "m", "y"] = Setting("d", description="Hours, days, months or years.")
    element: ColumnName | None = Setting(
        None, description="The date or timestamp column a row's age is counted from; its ingestion when not given."
    )


class Contract(Section):
    """A dataset: where its rows come from, what they mean, what must hold, and how they are published."""

    model_config = ConfigDict(defer_build=True)  # the kinds of sources are known once all modules are loaded

    dataset: DatasetName = Setting(
        description="The dataset's name, `domain.name`: lower case letters, digits and single underscores. "
        "The domain becomes the warehouse database, the name its table."
    )
    description: str = Setting(min_length=1, description="What a row is, where it comes from, and what to beware of.")
    owner: Owner = Setting(description="Who answers for the dataset.")
    tags: list[str] = Setting([], description="Words to find the dataset by.")
    classification: Classification = Setting(
        "internal", description="How sensitive the data is; a column can say otherwise."
    )
    source: Source = Setting(description="Where the rows come from.")
    schema_: Schema = Setting(Schema(), alias="schema", description="The columns of the published table.")
    key: list[ColumnName] = Setting(
        [],
        description="The columns that identify a row. Rows with the same key keep their order; `upsert` needs one.",
    )
    transform: Transform = Setting(Transform(), description="What happens to each row before it is checked.")
    checks: list[Check] = Setting([], description="What must hold of each row of the published table.")
    tests: list[TransformTest] = Setting(
        [],
        description="Unit tests of the transform and the checks, run by `headrace test` and before a version goes live. They may "
        "also stand in a file beside this one, `<name>.tests.yaml`. See docs/tests-of-transforms.md.",
    )
    load: Load = Setting(Load(), description="How rows enter the published table.")
    sla: list[ServiceLevel] = Setting([], description="The promises to those who read the table.")
    retention: Retention | None = Setting(None, description="How long rows are kept; for ever when not given.")
    partitions: int = Setting(
        2, ge=1, le=256, description="How many partitions its topics have, hence how many instances can share the work."
    )

    @property
    def domain(self) -> str:
        return self.dataset.partition(".")[0]

    @property
    def table(self) -> str:
        return self.dataset.partition(".")[2]

    @property
    def source_secrets(self) -> frozenset[str]:
        """The names of the secrets that ingest opens for it."""
        return names_in(self.source.model_dump(mode="json"))

    @property
    def transform_secrets(self) -> frozenset[str]:
        """The names of the secrets that the transformer opens for it."""
        return names_in(self.transform.hash_key)

    @field_validator("checks", mode="after")
    @classmethod
    def _name_checks(cls, checks: list[Check], info: ValidationInfo) -> list[Check]:
        return named([told_columns(check, info.data.get("key") or []) for check in checks])

    @model_validator(mode="wrap")
    @classmethod
    def _report_everything(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Add what breaks a rule between sections to what is wrong within them, so that all is reported at once."""
        broken = [issue.as_error() for issue in rules.broken(data)]
        try:
            contract = handler(data)
        except ValidationError as error:
            within = [rules.repeated(detail) for detail in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, [*within, *broken]) from None
        broken = broken or [issue.as_error() for issue in transform_test_rules.broken(contract)]
        if broken:
            raise ValidationError.from_exception_data(cls.__name__, broken)
        return contract

    def canonical_json(self) -> str:
        """The one spelling of this contract: every default written out, keys sorted, no white space."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The contract that `canonical_json` wrote. Errors: ValueError (pydantic's, or json's) when it was not."""
        return cls.model_validate(json.loads(text))


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the dataset file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Headrace dataset file",
        **{key: value for key, value in Contract.model_json_schema(by_alias=True).items() if key != "title"},
    }
