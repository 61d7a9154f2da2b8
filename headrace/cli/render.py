"""How values look: as a table for a person, as JSON or YAML for a program."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import yaml
from pydantic_core import to_jsonable_python
from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

NOTHING: Final = "–"
_PIPE_WIDTH: Final = 10_000  # a pipe has no edge to wrap at
SIGPIPE_EXIT: Final = 141


class Format(StrEnum):
    """What a command prints."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print the result.")]


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        broken_pipe()


def broken_pipe() -> NoReturn:
    """End the way a program ends whose reader has gone: silently."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    raise typer.Exit(SIGPIPE_EXIT)


def console(*, err: bool = False) -> Console:
    """Where to print: results to stdout, everything else to stderr."""
    stream = sys.stderr if err else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return _Console(stderr=err, width=width, highlight=False, emoji=False)


def note(markup: str) -> None:
    """Say something that is not the result."""
    console(err=True).print(markup)


def emit(data: Any, form: Format, table: Callable[[], Iterable[RenderableType]]) -> None:
    """Print a result once, in the form asked for."""
    match form:
        case Format.JSON:
            sys.stdout.write(json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n")
        case Format.YAML:
            sys.stdout.write(yaml.safe_dump(plain(data), sort_keys=False, allow_unicode=True))
        case Format.TABLE:
            out = console()
            for part in table():
                out.print(part)
    sys.stdout.flush()


def emit_line(data: Any, form: Format) -> None:
    """Print one document of a stream of them: a line of JSON, or a YAML document."""
    if form is Format.YAML:
        text = yaml.safe_dump(plain(data), sort_keys=False, allow_unicode=True, explicit_start=True)
    else:
        text = json.dumps(plain(data), ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()


def plain(data: Any) -> Any:
    """The value as JSON knows it."""
    return to_jsonable_python(data)


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns named in `right` are numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for name in columns:
        numeric = name in right
        made.add_column(Text(name), justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return made


def command(arguments: str) -> str:
    """What to type next, in bold: the program by a name under which this shell finds it."""
    return f"[bold]{safe(f'{_program()} {arguments}')}[/]"


def _program() -> str:
    called = Path(sys.argv[0])
    known = shutil.which("headrace") is not None or called.name != "headrace"
    return "headrace" if known else os.path.relpath(called)


def number(value: float | None, unit: str = "") -> str:
    """A figure with thousands separators."""
    if value is None:
        return NOTHING
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
    return f"{text} {unit}" if unit else text


def moment(at: datetime | None) -> str:
    """A time in the reader's zone, which it names."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else NOTHING


def safe(value: Any) -> str:
    """Text from elsewhere: never read as markup, never able to steer the terminal."""
    text = NOTHING if value is None else str(value)
    return escape("".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text))


def cell(value: Any) -> str:
    """A value of a row of data."""
    if value is None:
        return "[dim]null[/]"
    if isinstance(value, dict | list | tuple):
        return safe(json.dumps(plain(value), ensure_ascii=False))
    return safe(value)


def count(n: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
