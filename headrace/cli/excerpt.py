"""How a problem of a dataset file is shown: the place in the file, what was found, what was expected."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from headrace.cli.documents import Document
from headrace.cli.render import count, safe
from headrace.errors import Problem

_CONTEXT_LINES: Final = 1
_WIDEST: Final = 160


def verdicts(documents: Iterable[Document]) -> Iterator[str]:
    """Whether each document is valid, and everything that is wrong with it."""
    for document in documents:
        if document.problems:
            yield from problems(document.origin, document.text, document.problems)
        else:
            yield f"[green]✓[/] {safe(document.origin)}: [bold]{safe(document.valid.dataset)}[/] is valid"


def problems(origin: str, text: str, found: Sequence[Problem]) -> Iterator[str]:
    """Every problem with its excerpt, in the order of the file."""
    for problem in found:
        yield from _problem(origin, text.splitlines(), problem)
    yield f"[red]{count(len(found), 'problem')}[/] in {safe(origin)}"


def _problem(origin: str, lines: Sequence[str], problem: Problem) -> Iterator[str]:
    place = ":".join(str(part) for part in (origin, problem.line, problem.column) if part)
    path = f" at [bold]{safe(problem.path)}[/]" if problem.path else ""
    yield f"[bold red]error[/] {safe(place)}{path}"
    if problem.line and problem.line <= len(lines):
        yield from _excerpt(lines, problem.line, problem.column or 1)
    yield f"    found    {safe(problem.found)}"
    yield f"    expected {safe(problem.expected)}"
    if problem.suggestion:
        yield f"    [green]help[/]     did you mean [bold]{safe(problem.suggestion)}[/]?"
    yield ""


def _excerpt(lines: Sequence[str], line: int, column: int) -> Iterator[str]:
    """The line at fault under the one before it, with a caret. Lines and columns count from 1."""
    gutter = len(str(line))
    for n in range(max(1, line - _CONTEXT_LINES), line + 1):
        yield f"  [blue]{n:>{gutter}} │[/] {safe(_visible(lines[n - 1]))}"
    yield f"  [blue]{'':>{gutter}} │[/] {' ' * len(_visible(lines[line - 1][: column - 1]))}[bold red]^[/]"


def _visible(line: str) -> str:
    """The line with tabs as spaces, so that the caret stands under what it points to."""
    return line.expandtabs(4)[:_WIDEST]
