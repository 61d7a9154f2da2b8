"""The checks a row can be put to after the transform, and how a check without a name gets one."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field as Setting
from pydantic import StringConstraints, field_validator

from headrace.contract.fields import ColumnName, LogicalType, PhysicalType, TypeOptions
from headrace.contract.section import Section

DatasetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=120)]
CheckName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=120)]
Wait = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,6}[smhd]$")]
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_WAIT_S: Final = 30 * 86400
Bound = int | float | str
FormatName = Literal[
    "email", "url", "hostname", "ip", "ipv4", "ipv6", "uuid", "phone", "country", "currency", "date", "datetime"
]  # fmt: skip


class _Check(Section):
    name: CheckName | None = Setting(
        None,
        description="How the check is called in the ledger, in quarantine and in `_flags`. "
        "Derived from its kind and column when not given, for example `between_dep_delay`.",
    )
    severity: Literal["reject", "flag", "hold"] = Setting(
        "reject",
        description="`reject` quarantines a row that fails, `flag` lets it pass with the check's name in `_flags`, `hold` stops "
        "the dataset in front of it until somebody decides. See docs/overrides.md.",
    )
    description: str | None = Setting(None, description="Why the check exists, for whoever finds a row that fails it.")

    def subject(self) -> str | None:
        """The column the check looks at; None when it looks at the whole row."""
        return getattr(self, "column", None)


class NotNull(_Check):
    """The column has a value."""

    check: Literal["not_null"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column that may not be missing.")


class TypeIs(_Check):
    """The value can be read as a type, without being converted to it."""

    check: Literal["type"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at; a missing value passes.")
    logicalType: LogicalType = Setting(description="The type its values must be readable as.")  # noqa: N815
    logicalTypeOptions: TypeOptions = Setting(  # noqa: N815
        TypeOptions(), description="What narrows the logical type: width, format, time zone."
    )
    physicalType: PhysicalType | None = Setting(  # noqa: N815
        None, description="`decimal(precision, scale)` or `json`, as in `schema.fields`."
    )


class In(_Check):
    """The value is one of a list."""

    check: Literal["in"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at; a missing value passes.")
    values: list[bool | int | float | str] = Setting(min_length=1, description="The values that are allowed.")


class Between(_Check):
    """The value lies in a range whose ends belong to it."""

    check: Literal["between"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at; a missing value passes.")
    min: Bound | None = Setting(
        None, description="The least allowed value: a number, or a date or timestamp as ISO 8601 text."
    )
    max: Bound | None = Setting(
        None, description="The greatest allowed value: a number, or a date or timestamp as ISO 8601 text."
    )


class Matches(_Check):
    """The whole value matches a pattern."""

    check: Literal["matches"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at; a missing value passes.")
    pattern: str = Setting(description="An RE2 regular expression that the whole value must match.")


class FormatIs(_Check):
    """The value is written as a well-known format says."""

    check: Literal["format"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at, one of text; a missing value passes.")
    format: FormatName = Setting(
        description="`email`: an address as in mail headers (RFC 5321 and 6531), without quotes and comments, its domain of two "
        "labels at least. `url`: http or https (RFC 3986). `hostname`: labels of letters, digits and hyphens. `ip`: an `ipv4` or "
        "`ipv6`, without a zone. `uuid`: 32 hexadecimal digits in five groups. `phone`: a plus and 7 to 15 digits (E.164). "
        "`country`: two upper case letters of ISO 3166-1. `currency`: three of ISO 4217; those withdrawn since 2020 pass. "
        "`date`: `YYYY-MM-DD`, a day that exists. `datetime`: such a date, `T`, a time of day and `Z` or an offset (RFC 3339). "
        "In `email`, `url` and `hostname` there may be letters of every alphabet. White space around a value is part of none.",
    )


class Length(_Check):
    """A text has so many characters, or a list so many elements; both ends belong to the range."""

    check: Literal["length"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(
        description="The column to look at, one of text, a list or a map; a missing value passes, an empty one has length 0."
    )
    min: Annotated[int, Setting(ge=0)] | None = Setting(
        None,
        description="The least length: characters (Unicode code points), elements, pairs of a map, or bytes of binary.",
    )
    max: Annotated[int, Setting(ge=0)] | None = Setting(None, description="The greatest length, counted like `min`.")


class References(_Check):
    """The value is known to another dataset."""

    check: Literal["references"] = Setting(description="The kind of check.")
    column: ColumnName = Setting(description="The column to look at; a missing value passes.")
    dataset: DatasetName = Setting(description="The dataset that must know the value.")
    to: ColumnName = Setting(description="The column of that dataset which holds the known values.")
    wait: Wait | None = Setting(
        None,
        description="How long a row waits for a value that is not known yet: a number and `s`, `m`, `h` or `d`, such as "
        "`10m`; at most `30d`. It goes on when the value is there, and is quarantined as `parent_late` when the time is up. "
        "Without it, it is quarantined at once. See docs/late-parents.md.",
    )

    @property
    def wait_s(self) -> int | None:
        """How long a row waits. Units: seconds."""
        return None if self.wait is None else int(self.wait[:-1]) * _UNITS_S[self.wait[-1]]

    @field_validator("wait")
    @classmethod
    def _not_for_ever(cls, value: str | None) -> str | None:
        if value is not None and int(value[:-1]) * _UNITS_S[value[-1]] > _LONGEST_WAIT_S:
            raise ValueError("at most `30d`: a row that waits is kept in memory")
        return value


class Unique(_Check):
    """No row before it has the same values in these columns."""

    check: Literal["unique"] = Setting(description="The kind of check.")
    columns: list[ColumnName] = Setting(
        [],
        description="The columns whose values together no other row may have; the dataset's key when not given. A row in which "
        "one of them is missing passes. Only with `load.mode: append`. See docs/unique.md.",
    )

    def subject(self) -> str | None:
        """See `_Check.subject`: the only column, where there is but one."""
        return self.columns[0] if len(self.columns) == 1 else None


class Expression(_Check):
    """A condition over the whole row is true."""

    check: Literal["expression"] = Setting(description="The kind of check.")
    sql: str = Setting(
        description="A condition in DuckDB's SQL over the columns of the published row. "
        "The row fails when it is false; as in SQL, unknown (null) passes."
    )


Check = Annotated[
    NotNull | TypeIs | In | Between | Matches | FormatIs | Length | References | Unique | Expression,
    Setting(discriminator="check"),
]


def waiting_checks(checks: Sequence[Check]) -> dict[str, References]:
    """The checks whose rows wait for what they refer to, by name."""
    return {check.name or "": check for check in checks if isinstance(check, References) and check.wait is not None}


def told_columns(check: Check, key: Sequence[str]) -> Check:
    """The check, which names its columns where the dataset's key was meant."""
    meant = isinstance(check, Unique) and not check.columns
    return check.model_copy(update={"columns": list(key)}) if meant else check


def named(checks: Sequence[Check]) -> list[Check]:
    """The checks, each with a name that no other has."""
    taken = {check.name for check in checks if check.name}
    result: list[Check] = []
    for check in checks:
        if check.name is None:
            stem = "_".join(filter(None, (check.check, (check.subject() or "").lstrip("_"))))
            name, count = stem, 1
            while name in taken:
                count += 1
                name = f"{stem}_{count}"
            taken.add(name)
            check = check.model_copy(update={"name": name})
        result.append(check)
    return result
