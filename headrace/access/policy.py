"""Decides what somebody may do with a dataset, and which of its rows and columns they see.

Everything that is granted adds up; nothing is taken away by another grant. What is not granted is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, get_args

from headrace.contract.fields import Classification


class Action(StrEnum):
    """What can be granted."""

    SEE = "see"  # that a dataset is there, its schema, its state and its books
    QUERY = "query"  # its rows
    EXPORT = "export"  # its rows, as files to keep
    EDIT = "edit"  # its file
    OPERATE = "operate"  # its runs, its generations, its quarantine; send rows to it
    ADMIN = "admin"  # who may do what with it


Role = Literal["viewer", "analyst", "operator", "engineer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

_SEES: Final = frozenset({Action.SEE})
_READS: Final = _SEES | {Action.QUERY, Action.EXPORT}

#: What each role may do.
ACTIONS: Final[Mapping[Role, frozenset[Action]]] = {
    "viewer": _SEES,
    "analyst": _READS,
    "operator": _SEES | {Action.QUERY, Action.OPERATE},
    "engineer": _READS | {Action.EDIT, Action.OPERATE},
    "admin": frozenset(Action),
}

#: From the least to the most sensitive.
CLASSIFICATIONS: Final[tuple[Classification, ...]] = get_args(Classification)


def sensitivity(classification: Classification) -> int:
    """Where a classification stands among the others; the least sensitive is 0."""
    return CLASSIFICATIONS.index(classification)


#: Up to where each role sees values, unless its grant says otherwise.
CLEARANCES: Final[Mapping[Role, Classification]] = {
    "viewer": "internal",
    "analyst": "internal",
    "operator": "internal",
    "engineer": "confidential",
    "admin": "restricted",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A dataset as the policy knows it. `columns` are those of the published table, with how sensitive they are."""

    name: str
    tags: frozenset[str] = frozenset()
    classification: Classification = "internal"
    columns: Mapping[str, Classification] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """The part of its name before the point."""
        return self.name.partition(".")[0]

    def of_column(self, name: str) -> Classification:
        """How sensitive a column is; one that is not listed is so as the dataset is."""
        return self.columns.get(name, self.classification)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a grant or a token reaches: `*` for everything, or a domain, a dataset or a tag by its name."""

    kind: Literal["all", "domain", "dataset", "tag"]
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Scope":
        """The scope that `*`, `domain:nyc`, `dataset:nyc.flights` or `tag:finance` names. Errors: ValueError."""
        if text == "*":
            return cls("all")
        kind, _, name = text.partition(":")
        match kind:
            case "domain" | "dataset" | "tag" if name:
                return cls(kind, name)
        raise ValueError(f"{text!r} is no scope: write *, domain:<name>, dataset:<domain>.<name> or tag:<tag>")

    def __str__(self) -> str:
        return "*" if self.kind == "all" else f"{self.kind}:{self.name}"

    def covers(self, asset: Asset) -> bool:
        """Whether the dataset is within it."""
        match self.kind:
            case "all":
                return True
            case "domain":
                return asset.domain == self.name
            case "dataset":
                return asset.name == self.name
            case "tag":
                return self.name in asset.tags

    def holds(self, other: "Scope") -> bool:
        """Whether all that the other covers is within it, whatever datasets there will be."""
        within = self.kind == "domain" and other.kind == "dataset" and other.name.startswith(f"{self.name}.")
        return self.kind == "all" or self == other or within


EVERYTHING: Final = Scope("all")


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for somebody (`user:<id>`) or for a group (`group:<name>`), within a scope.

    `rows` is a condition in SQL over the published table: it alone decides which rows the grant shows; empty for all.
    Values of columns show up to `clearance` (by default that of the role); a column that is more sensitive shows none.
    """

    id: str
    to: str
    role: Role
    scope: Scope
    rows: str = ""
    clearance: Classification | None = None

    @property
    def actions(self) -> frozenset[Action]:
        """What it lets somebody do."""
        return ACTIONS[self.role]

    @property
    def whole(self) -> bool:
        """Whether it hides nothing of what is within its scope."""
        return not self.rows and self.shows(CLASSIFICATIONS[-1])

    def shows(self, classification: Classification) -> bool:
        """Whether values this sensitive are shown under it."""
        return sensitivity(classification) <= sensitivity(self.clearance or CLEARANCES[self.role])


@dataclass(frozen=True, slots=True)
class Limit:
    """To what a token narrows what its owner may do."""

    actions: frozenset[Action]
    scopes: tuple[Scope, ...] = (EVERYTHING,)


#: For which rows something holds: all, those for which one of the conditions is true, or (without any) none.
Rows = Literal["all"] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees of a dataset: of which rows, and of which columns they see the values of which rows only.

    A column in `masked` shows its values in those rows. Of columns that nobody has listed those in `others` show, but for the
    system's own, which begin with an underscore.
    """

    rows: Rows = "all"
    masked: Mapping[str, Rows] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    others: Rows = "all"

    @property
    def whole(self) -> bool:
        """Whether nothing is hidden."""
        return self.rows == "all" and not self.masked and self.others == "all"

    @property
    def conditions(self) -> frozenset[str]:
        """Every condition that it depends on."""
        every = (self.rows, self.others, *self.masked.values())
        return frozenset(condition for rows in every if rows != "all" for condition in rows if condition)

    def of_column(self, name: str) -> Rows:
        """In which of the rows they see, the values of this column show."""
        if (shown := self.masked.get(name)) is not None:
            return shown
        return "all" if name in self.listed or name.startswith("_") else self.others


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do: their grants, as their token narrows them."""

    grants: tuple[Grant, ...]
    limit: Limit | None = None

    def may(self, action: Action, asset: Asset) -> bool:
        """Whether they may do this with this dataset."""
        return bool(self._giving(action, asset))

    def may_everywhere(self, action: Action) -> bool:
        """Whether they may do this without regard to a dataset.

        An administrator everywhere is who sees everything: they make tokens for others, and put themselves into any group.
        """
        if self.limit is not None and (action not in self.limit.actions or EVERYTHING not in self.limit.scopes):
            return False
        giving = [grant for grant in self.grants if action in grant.actions and grant.scope == EVERYTHING]
        return any(grant.whole for grant in giving) if action == Action.ADMIN else bool(giving)

    def may_somewhere(self, action: Action) -> bool:
        """Whether there can be a dataset that they may do this with."""
        return self._lets(action) and any(action in grant.actions for grant in self.grants)

    def sight(self, action: Action, asset: Asset) -> Sight | None:
        """What they see of the dataset when they do this with it; None when they may not."""
        giving = self._giving(action, asset)
        if not giving:
            return None
        rows = _rows(giving)

        def shown(classification: Classification) -> Rows:
            shown = _rows(grant for grant in giving if grant.shows(classification))
            return "all" if shown == rows else shown

        masked = {column: where for column, kind in asset.columns.items() if (where := shown(kind)) != "all"}
        return Sight(rows, masked, frozenset(asset.columns), shown(asset.classification))

    def sees_whole(self, action: Action, asset: Asset) -> bool:
        """Whether one grant alone shows everything of it: its records as they came too, whose fields nobody has classified."""
        most = max((asset.classification, *asset.columns.values()), key=sensitivity)
        return any(not grant.rows and grant.shows(most) for grant in self._giving(action, asset))

    def may_grant(self, scope: Scope) -> bool:
        """Whether they may grant something within this scope: what they are admin of without any condition."""
        if self.limit is not None and (Action.ADMIN not in self.limit.actions or EVERYTHING not in self.limit.scopes):
            return False
        return any(grant.scope.holds(scope) for grant in self.grants if Action.ADMIN in grant.actions and grant.whole)

    def lets(self, action: Action, asset: Asset) -> bool:
        """Whether the token, if it is one, reaches this far, whatever was granted."""
        within = self.limit is None or any(scope.covers(asset) for scope in self.limit.scopes)
        return within and self._lets(action)

    def _lets(self, action: Action) -> bool:
        return self.limit is None or action in self.limit.actions

    def _giving(self, action: Action, asset: Asset) -> Sequence[Grant]:
        """The grants that let them do this with the dataset."""
        if not self.lets(action, asset):
            return ()
        return tuple(grant for grant in self.grants if action in grant.actions and grant.scope.covers(asset))


def _rows(grants: Iterable[Grant]) -> Rows:
    """The rows that at least one of them shows."""
    conditions = [grant.rows for grant in grants]
    return "all" if "" in conditions else tuple(dict.fromkeys(conditions))
