"""Which columns an expression names."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Final, NamedTuple

from sqlglot import exp

#: In place of a column's name: all of them.
EVERY: Final = "*"


class Mention(NamedTuple):
    """A column that is named: its table before it or its fields after it, in lower case.

    `bound` says that a lambda or a comprehension has a parameter called like the first of them. DuckDB reads that only where no
    table has such a column.
    """

    path: tuple[str, ...]
    bound: bool = False


def mentions(expression: exp.Expr) -> Iterator[Mention]:
    """The columns that an expression names; (EVERY,) stands for any of them.

    The parameter of a lambda is none where it stands alone: `x` in `lambda x: x + 1`. In `x.price` and `x.abs()` it may be, as
    DuckDB looks for a column first. The parser takes `a` in `a.upper()` and in `(a + b).abs()` for a mere identifier.
    """
    waiting: list[tuple[exp.Expr, frozenset[str]]] = [(expression, frozenset())]
    while waiting:
        node, bound = waiting.pop()
        path, inner = _path(node)
        alone = len(path) == 1 and not isinstance(node, exp.Dot)
        if path and not (alone and path[0] in bound):
            yield Mention(path, path[0] in bound)
        within = bound | {parameter.name.lower() for parameter in _parameters(node)}
        waiting += [(child, bound if child is node.args.get("iterator") else within) for child in inner]


def _path(node: exp.Expr) -> tuple[tuple[str, ...], list[exp.Expr]]:
    """(the column a node names, or nothing; the nodes in it that can name others)."""
    match node:
        case exp.Star() | exp.Columns() | exp.PositionalColumn():
            return (EVERY,), []
        case exp.Column():
            star = isinstance(node.this, exp.Star)
            return ((EVERY,) if star else tuple(part.name.lower() for part in node.parts)), []
        case exp.Identifier():
            return (node.name.lower(),), []
        case exp.Dot():
            steps = list(node.flatten())
            own = [step.name.lower() for step in takewhile(lambda step: isinstance(step, exp.Identifier), steps)]
            return tuple(own), [step for step in steps[len(own) :] if not isinstance(step, exp.Identifier)]
        case exp.DataType():
            return (), []
        case exp.Collate():
            return (), [node.this]
        case _:
            unread = {id(parameter) for parameter in _parameters(node)} | {id(label) for label in _labels(node)}
            return (), [child for child in node.iter_expressions() if id(child) not in unread]


def _parameters(node: exp.Expr) -> list[exp.Expr]:
    """What a lambda or a comprehension binds."""
    if isinstance(node, exp.Lambda):
        return list(node.expressions)
    if isinstance(node, exp.Comprehension):
        return [part for key in ("expression", "position") if (part := node.args.get(key)) is not None]
    return []


def _labels(node: exp.Expr) -> list[exp.Expr]:
    """The names that a node gives to others."""
    match node:
        case exp.Alias():
            return [node.args["alias"]]
        case exp.PropertyEQ() | exp.Kwarg():
            return [node.this]
        case _:
            return []
