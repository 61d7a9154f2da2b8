"""Dataset files: what applying them would change and did, and the sources they name."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result


class Change(Result):
    """One difference between the live version of a dataset file and the proposed one."""

    path: str
    kind: str  # added, removed or changed
    before: Any = None
    after: Any = None
    breaking: bool = False
    why: str = ""


class ColumnReader(Result):
    """A dataset that reads columns of another, `via`; `columns` are its own that are computed from them."""

    dataset: str
    via: str
    reads: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class Affected(Result):
    """A column, a check or a condition that another version changes."""

    name: str
    kind: str  # added, removed or changed


class Impact(Result):
    """What another version changes in the table, and which datasets read it; see `POST /plan`."""

    columns: tuple[Affected, ...] = ()
    others: str | None = None  # what becomes of columns that come through `*`
    rules: tuple[Affected, ...] = ()
    readers: tuple[ColumnReader, ...] = ()
    reached: tuple[str, ...] = ()


class Refusal(Result):
    """Why applying a dataset file would be refused."""

    code: str
    detail: str


class SourceColumn(Result):
    """A column that a source offers. `type` is written as in `schema.fields`; `null_share` is of the rows looked at."""

    name: str
    type: dict[str, Any]
    null_share: float | None = None
    unique: bool = False
    examples: tuple[str, ...] = ()
    personal: dict[str, str] | None = None  # what it seems to hold, and why: by its name or its values


class SourcePart(Result):
    """A part of what is said of a source: `step`, `stream` or `end`."""

    part: str
    name: str = ""
    ok: bool | None = None
    message: str = ""
    field: str | None = None
    remedy: str = ""
    took_s: float | None = None
    columns: tuple[SourceColumn, ...] = ()
    keys: tuple[str, ...] = ()
    keys_declared: bool = False
    cursors: tuple[str, ...] = ()
    rows_sampled: int = 0
    kind: str = ""  # of a stream that is yet to be chosen
    namespace: str = ""
    rows_estimated: int | None = None


class Plan(Result):
    """What applying a dataset file would do, and what stands against it."""

    dataset: str
    current_version: int | None = None
    next_version: int
    changes: tuple[Change, ...] = ()
    impact: Impact = Impact()
    needs_generation: bool = False
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    tests_passed: int | None = None  # of those in the file, where they were run before it was shown

    @property
    def changes_something(self) -> bool:
        """Whether applying would make a new version."""
        return self.next_version != self.current_version


class Applied(Result):
    """What applying a dataset file did."""

    name: str
    version: int
    generation: int
    changed: bool
    warnings: tuple[str, ...] = ()


class Dataset(Result):
    """A dataset as it is live. `document` is there when one dataset was asked for."""

    name: str
    version: int
    generation: int
    state: str
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()
    applied_at: datetime | None = None
    applied_by: str | None = None
    tests_skipped: str = ""  # why the tests of this version were not run
    document: dict[str, Any] | None = None
