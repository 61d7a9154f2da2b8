"""The SQL over the table of a dataset's quarantined rows: what a row is, how it is chosen, and what was done about it since.

Dataset names are checked before they get here, and values travel as parameters, so that no statement is made of foreign text.
"""
# ruff: noqa: S608

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.gateway.core.conservation import SHARED
from services.gateway.core.datasets import DatasetVersion

_PLAIN: Final = (
    "dataset",
    "generation",
    "version",
    "stage",
    "reason",
    "detail",
    "rule",
    "column",
    "topic",
    "partition",
)
_PLACE: Final = ("offset", "raw_offset", "seq", "schema_id", "fields", "source", "quarantined_at")
_COLUMNS: Final = ", ".join([f"`{name}`" for name in (*_PLAIN, *_PLACE)] + ["base64Encode(value) AS value"])
CAUSE: Final = "`stage`, `reason`, `rule`, `column`"
ACTED: Final = ("act", "act_on", "request", "acted_by", "because", "edit")
ASSIGNED: Final = "assigned_to"
#: The value that the row has in the column it was set aside for, as text, and its shape: runs of digits, of capitals and of small
#: letters stand as 9, A and a. Null where no column is named, or the row has none of that name. Rows that ingest set aside are
#: often kept as they came, as JSON.
_FIELDS: Final = "ifNull(`fields`, if(`stage` = 'ingest', tryBase64Decode(value), ''))"
_IN_QUESTION: Final = f"JSONExtractRaw({_FIELDS}, ifNull(`column`, ''))"
OFFENDING: Final = (
    f"if(JSONType({_FIELDS}, ifNull(`column`, '')) = 'String', JSONExtractString({_FIELDS}, ifNull(`column`, '')), "
    f"{_IN_QUESTION})"
)
SHAPE: Final = (
    f"if(NOT JSONHas({_FIELDS}, ifNull(`column`, '')), NULL, if({_IN_QUESTION} IN ('null', 'true', 'false'), {_IN_QUESTION}, "
    "replaceRegexpAll(replaceRegexpAll(replaceRegexpAll("
    f"leftUTF8({OFFENDING}, 60), '[0-9]+', '9'), '\\\\p{{Lu}}+', 'A'), '\\\\p{{Ll}}+', 'a')))"
)

#: What a row can be chosen by -> the SQL for it.
_CAUSES: Final = {
    **{name: f"`{name}`" for name in ("stage", "reason", "rule", "column")},
    "shape": SHAPE,
    "assigned_to": f"ifNull({ASSIGNED}, '')",  # '': nobody
}

COUNTED: Final = f"countIf({_CAUSES['assigned_to']} != '') AS assigned"

#: (partition, offset) in the quarantine topic: what an id is made of.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which quarantined rows: those in these places, of these causes, and of this raw record. Nothing chosen is every row.

    `raw` is a place in the raw topic; `unlike` somebody that rows are not assigned to ('': nobody). `all` are also those that
    were resubmitted or discarded; else they are left out.
    """

    ids: Sequence[Place] = ()
    causes: Mapping[str, str] = field(default_factory=dict)  # stage, reason, rule, column, shape, assigned_to
    all: bool = False
    raw: Place | None = None
    unlike: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the condition."""
        unlike = {} if self.unlike is None else {"unlike": self.unlike}
        return {f"only_{name}": value for name, value in self.causes.items()} | unlike

    @property
    def condition(self) -> str:
        """As SQL, over `_quarantined`."""
        parts = [f"{_CAUSES[name]} = {{only_{name}:String}}" for name in self.causes]
        places = ", ".join(f"({int(partition)}, {int(offset)})" for partition, offset in self.ids)
        parts += [f"(_load_partition, _load_offset) IN ({places})"] if self.ids else []
        parts += [f"(`partition`, raw_offset) = ({int(self.raw[0])}, {int(self.raw[1])})"] if self.raw else []
        parts += [f"{_CAUSES['assigned_to']} != {{unlike:String}}"] if self.unlike is not None else []
        parts += [] if self.all else ["state = 'open'"]
        return " AND ".join(parts) or "true"


_ID: Final = "concat(toString({0}_load_partition), '-', toString({0}_load_offset))"
_DONE: Final = "assumeNotNull(act) AS done_act, acted_by, because, edit, request, quarantined_at AS at"
_ACTS: Final = f"SELECT assumeNotNull(act_on) AS row, {_DONE} FROM {{table}} WHERE act IN ('resubmitted', 'discarded')"
#: To whom each was assigned, the last of which counts.
_GIVEN: Final = (
    f"SELECT assumeNotNull(act_on) AS row, argMax(ifNull({ASSIGNED}, ''), _load_offset) AS assignee "
    "FROM {table} WHERE act IN ('assigned', 'unassigned') GROUP BY row"
)
_SHARED_STAGES: Final = ", ".join(f"'{stage}'" for stage in sorted(SHARED))


def set_aside(dataset: DatasetVersion | None, *, everywhere: bool = False) -> str:
    """The rows that were set aside, each with what was done about it.

    Of a dataset with several generations they are those that the live one set aside, and the stages that all share; or all,
    `everywhere`. Another generation reads a record that was set aside, and may set it aside as well: what was done about the
    one is done about both.
    """
    several = dataset is not None and bool(dataset.beside)
    live = dataset.generation if dataset is not None else 1
    done = f"{_ACTS} UNION ALL {_done_elsewhere(live)}" if several else _ACTS
    seen = f" AND (rows.generation = {live} OR rows.stage IN ({_SHARED_STAGES}))" if several and not everywhere else ""
    return f"""(
SELECT each.*, nullIf(given.assignee, '') AS {ASSIGNED} FROM (
SELECT {_ID.format("")} AS id, _load_partition, _load_offset, {_COLUMNS},
    if(empty(done.done_act), 'open', done.done_act) AS state, done.done_by AS acted_by, done.done_because AS because,
    done.done_at AS acted_at, done.done_edit AS edit, done.done_request AS request
FROM {{table}} AS rows LEFT JOIN (
    SELECT row, any(done_act) AS done_act, any(acted_by) AS done_by, any(because) AS done_because, any(edit) AS done_edit,
        any(request) AS done_request, toNullable(max(at)) AS done_at
    FROM ({done}) GROUP BY row
) AS done ON done.row = {_ID.format("rows.")}
WHERE ifNull(rows.act, 'quarantined') = 'quarantined'{seen}
) AS each LEFT JOIN ({_GIVEN}) AS given ON given.row = each.id
)"""


def _done_elsewhere(live: int) -> str:
    """What was done about rows that another generation set aside, as done about those of the live one from the same record."""
    place = "`partition` AS at_partition, assumeNotNull(raw_offset) AS at_offset, seq AS at_seq"
    rows = f"SELECT {_ID.format('')} AS row, {place} FROM {{table}} WHERE raw_offset IS NOT NULL AND "
    rows += f"ifNull(act, 'quarantined') = 'quarantined' AND stage NOT IN ({_SHARED_STAGES}) AND generation "
    return (
        f"SELECT mine.row AS row, acts.done_act AS done_act, acts.acted_by AS acted_by, acts.because AS because, "
        f"acts.edit AS edit, acts.request AS request, acts.at AS at FROM ({_ACTS}) AS acts "
        f"INNER JOIN ({rows} != {live}) AS theirs ON acts.row = theirs.row "
        f"INNER JOIN ({rows} = {live}) AS mine ON mine.at_partition = theirs.at_partition "
        "AND mine.at_offset = theirs.at_offset AND mine.at_seq = theirs.at_seq"
    )


def table_of(dataset: str) -> str:
    """The table of a dataset\'s quarantined rows."""
    domain, _, name = dataset.partition(".")
    return f"`{domain}`.`{name}__quarantine`"
