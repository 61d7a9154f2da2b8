"""What a reader may not do: the engine knows no users, so this decides on the engine's own syntax tree of a query."""

import re

from deploy.local.warehouse.errors import EngineError, exception

_FUNCTION = re.compile(r"^\s*Function (\S+)", re.M)
_FILE_WRITTEN = re.compile(r"^ Literal", re.M)
_READS = ("SelectWithUnionQuery", "SelectIntersectExceptQuery", "Explain", "Describe", "Show", "Exists")

HARMLESS_SOURCES = frozenset(
    {
        *("numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "generaterandom"),
        *("null", "values", "view", "merge", "format"),
    }
)
"""Table functions that take nothing from outside the warehouse. One that is not listed is refused, new or not."""

_OUTSIDE = frozenset({"file", "catboostevaluate"})
"""Scalar functions that read files."""

_WITHHELD_SETTINGS = frozenset({"dialect"})


def _refused(why: str) -> EngineError:
    return exception(497, "ACCESS_DENIED", f"Not enough privileges: {why}.")


def not_a_read() -> EngineError:
    """What a reader gets for any statement that is not one of the few that only look."""
    return _refused("only SELECT, SHOW, DESCRIBE, EXISTS and EXPLAIN are open to this user")


def refusal(syntax_tree: str, table_functions: frozenset[str]) -> EngineError | None:
    """Why a reader may not run the statement with this tree (`EXPLAIN AST`), or None if it may.

    `table_functions`: the names of all the engine has, in lower case.
    """
    statement = syntax_tree.partition(" ")[0].strip()
    if not statement.startswith(_READS):
        return not_a_read()
    if _FILE_WRITTEN.search(syntax_tree):
        return _refused("INTO OUTFILE is not open to this user")
    for name in functions(syntax_tree):
        if name in _OUTSIDE or name.startswith("ai") or name in table_functions - HARMLESS_SOURCES:
            return _refused(f"the function {name} reaches outside the warehouse, which is not open to this user")
    return None


def functions(syntax_tree: str) -> set[str]:
    """The names, in lower case, of every function in the tree."""
    return {name.lower() for name in _FUNCTION.findall(syntax_tree)}


def check_settings(settings: dict[str, str]) -> None:
    """Raises if a reader sends a setting that would change how its query is read or what it may do."""
    for name in settings.keys() & _WITHHELD_SETTINGS:
        raise exception(164, "READONLY", f"Cannot modify '{name}' setting in readonly mode.")
