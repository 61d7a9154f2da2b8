"""What differs between two versions of a dataset file, and whether the published table can take it as it stands.

A breaking change needs a new generation: new topics and a new table beside the old ones, filled from the start.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from headrace.contract.model import Contract

Kind = Literal["added", "removed", "changed"]

_NEW_SHAPE = "rows already published have the old {what}"
#: Settings that decide how the table is laid out: path -> why a change breaks it.
_LAYOUT = {
    "dataset": "another name is another table",
    "key": "rows already published were partitioned and kept by the old key",
    "partitions": "a key would move to another partition, and its rows would lose their order",
    "load.mode": "rows already published were kept by the old mode",
    "load.order_by": "the table is sorted by the old columns",
}
#: What else a reader of the plan should know: path -> what the change does.
_EFFECTS = {
    "transform.sql": "applies to rows from now on; rows already published keep what the old SQL gave",
    "transform.hash_key": "hashes and tokens of rows from now on are others; rows already published keep theirs",
    "source": "rows from now on come from here; rows already published stay",
    "checks": "applies to rows from now on",
    "tests": "changes no row: says what the SQL and the checks must do",
    "retention": "applies to rows already published too",
    "schema.evolution": "applies to columns found from now on",
}


_NEW_RUN = "a new run reads the whole source under the new version, and shows when all of it is there"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `before` and `after` are plain JSON values, None where there is none."""

    path: str
    kind: Kind
    before: Any
    after: Any
    breaking: bool
    why: str


def diff(old: Contract | None, new: Contract) -> list[Change]:
    """Every difference, in the order of the file; with nothing before, the dataset itself is the one addition."""
    after = new.model_dump(mode="json", by_alias=True)
    if old is None:
        return [Change("dataset", "added", None, new.dataset, False, "a new dataset")]
    before = old.model_dump(mode="json", by_alias=True)
    declared = bool(old.schema_.fields)
    changes = [_judged(*found, declared) for found in _differences(before, after, "")]
    if new.load.mode != "replace":
        return changes
    return [change if change.breaking else replace(change, why=_NEW_RUN) for change in changes]


def needs_generation(changes: Iterable[Change]) -> bool:
    """Whether the changes can only go live beside the old version, not in its place."""
    return any(change.breaking for change in changes)


def _differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, Kind, Any, Any]]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*after, *(name for name in before if name not in after)]:
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif (was := _by_name(before)) is not None and (now := _by_name(after)) is not None:
        for name in [*now, *(name for name in was if name not in now)]:
            yield from _differences(was.get(name), now.get(name), f"{path}[{name}]")
    else:
        kind: Kind = "added" if before is None else "removed" if after is None else "changed"
        yield path, kind, before, after


def _by_name(value: Any) -> dict[str, Any] | None:
    """A list whose items have distinct names, by these names: fields and checks, which may change places."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) and "name" in item for item in value):
        return None
    named = {item["name"]: item for item in value}
    return named if len(named) == len(value) else None


def _judged(path: str, kind: Kind, before: Any, after: Any, declared: bool) -> Change:
    if path in _LAYOUT:
        return Change(path, kind, before, after, True, _LAYOUT[path])
    if path.startswith("schema.fields["):
        breaking, why = _of_field(path, kind, after, declared)
        return Change(path, kind, before, after, breaking, why)
    why = next((effect for prefix, effect in _EFFECTS.items() if path.startswith(prefix)), "says more, changes no row")
    return Change(path, kind, before, after, False, why)


def _of_field(path: str, kind: Kind, after: Any, declared: bool) -> tuple[bool, str]:
    _, _, setting = path.removeprefix("schema.fields[").partition("]")
    words = set(setting.replace("[", ".").replace("]", ".").split("."))
    if not setting and kind == "removed":
        return True, "readers of the table lose the column"
    if not setting and not declared:
        return True, "the column had the type found in the source; declaring it may change it"
    if not setting and after.get("required"):
        return True, "rows already published have no value for it"
    if not setting:
        return False, "rows already published have no value for it, which is allowed"
    if words & {"description", "tags", "examples", "classification"}:
        return False, "says more, changes no row"
    if "required" in words:
        return True, _NEW_SHAPE.format(what="nullability")
    return True, _NEW_SHAPE.format(what="type")
