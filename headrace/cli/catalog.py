"""Commands that find datasets, and show what there is to know of each."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from headrace.cli.observe import DatasetArgument
from headrace.cli.render import NOTHING, Format, Output, cell, command, count, emit, moment, note, number, safe, table
from headrace.cli.session import session_of
from headrace.client import Client
from headrace.client.results.catalog import (
    CatalogDataset,
    CatalogPage,
    CatalogVersion,
    ColumnImpact,
    Lineage,
    LineageNode,
    Note,
    Sample,
)
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="Find datasets; see what there is to know of each.")

_STATES: Final = {"running": "green", "stopped": "red", "down": "yellow", "paused": "yellow"}
_FRESHNESS: Final = {"fresh": "green", "late": "red"}


class Sort(StrEnum):
    """What comes first."""

    RELEVANCE = "relevance"
    NAME = "name"
    CHANGED = "changed"
    USED = "used"


class Direction(StrEnum):
    """Where to look."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"


def _any_of(what: str) -> Any:
    return typer.Option(help=f"Only {what}; repeat it for several.", show_default=False)


@app.command()
def search(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD...", help="Words, or their beginnings.", show_default=False)
    ] = None,
    domain: Annotated[list[str] | None, _any_of("this domain")] = None,
    owner: Annotated[list[str] | None, _any_of("of this team")] = None,
    tag: Annotated[list[str] | None, _any_of("with this tag")] = None,
    classification: Annotated[list[str] | None, _any_of("with this classification")] = None,
    state: Annotated[list[str] | None, _any_of("in this state")] = None,
    freshness: Annotated[list[str] | None, _any_of("that are `fresh` or `late`")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only your favourites.")] = False,
    sort: Annotated[Sort, typer.Option(help="What comes first.")] = Sort.RELEVANCE,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="The most datasets to show.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Find datasets by words in their names, columns, tags, owners, descriptions and notes.

    Examples:

        headrace catalog search flight delay
        headrace catalog search --domain nyc --freshness late
        headrace catalog search --mine --sort used -o json
    """
    with session_of(context).client() as client:
        page = client.catalog.page(
            " ".join(words or ()),
            favourites=mine,
            sort=sort.value,
            limit=limit,
            domain=domain,
            owner=owner,
            tag=tag,
            classification=classification,
            state=state,
            freshness=freshness,
        )
    emit(page, output, lambda: _page(page))


@app.command()
def show(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show a dataset: its columns and what their values look like, its owner, its promises.

    Examples:

        headrace catalog show nyc.flights
    """
    with session_of(context).client() as client:
        found = client.catalog.dataset(dataset)
    emit(found.model_dump(by_alias=True), output, lambda: _dataset(found))


@app.command()
def versions(
    context: typer.Context,
    dataset: DatasetArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=50, help="The most versions to show.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """Show what each version of a dataset's file changed, when, and by whom.

    Examples:

        headrace catalog versions nyc.flights
    """
    with session_of(context).client() as client:
        found = client.catalog.versions(dataset, limit)
    emit({"versions": found}, output, lambda: _versions(found))


@app.command()
def lineage(
    context: typer.Context,
    dataset: DatasetArgument,
    direction: Annotated[Direction, typer.Option(help="Where to look.")] = Direction.BOTH,
    depth: Annotated[int, typer.Option(min=1, max=20, help="How many steps.")] = 3,
    columns: Annotated[bool, typer.Option("--columns", help="Also which column is computed from which.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show what a dataset comes from, and what comes from it.

    Examples:

        headrace catalog lineage nyc.flights
        headrace catalog lineage nyc.flights --direction upstream --columns
    """
    with session_of(context).client() as client:
        found = client.catalog.lineage(dataset, direction=direction.value, depth=depth)
    emit(found, output, lambda: _lineage(found, columns))


@app.command()
def impact(
    context: typer.Context,
    dataset: DatasetArgument,
    column: Annotated[
        str | None, typer.Argument(metavar="COLUMN", help="The column that would go.", show_default="all of it")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show who breaks if a column goes: datasets, models, checks, tests and settings, through however many steps.

    Examples:

        headrace catalog impact nyc.airports faa
        headrace catalog impact nyc.airports
    """
    with session_of(context).client() as client:
        found = client.catalog.impact(dataset, column)
    emit(found, output, lambda: _impact(dataset, found))


@app.command()
def sample(
    context: typer.Context,
    dataset: DatasetArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100, help="The most rows to show.")] = 10,
    output: Output = Format.TABLE,
) -> None:
    """Show some rows of a dataset, as you see them.

    Examples:

        headrace catalog sample nyc.flights -n 5
    """
    with session_of(context).client() as client:
        found = client.catalog.sample(dataset, limit)
    emit(found, output, lambda: _sample(found))


@app.command()
def favourite(
    context: typer.Context,
    dataset: DatasetArgument,
    remove: Annotated[bool, typer.Option("--remove", help="It is none of yours any more.")] = False,
) -> None:
    """Mark a dataset as one of yours, to find it again with `search --mine`.

    Examples:

        headrace catalog favourite nyc.flights
        headrace catalog favourite nyc.flights --remove
    """
    with session_of(context).client() as client:
        if remove:
            client.catalog.unmark(dataset)
        else:
            client.catalog.dataset(dataset)
            client.catalog.mark(dataset)
    done = (
        "is none of your favourites any more"
        if remove
        else f"is one of your favourites: {command('catalog search --mine')}"
    )
    note(f"[green]✓[/] {safe(dataset)} {done}")


@app.command("note")
def note_command(
    context: typer.Context,
    dataset: DatasetArgument,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="What to write; empty takes the note away. Without it, every state is shown.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[str, typer.Option(help="The column it is about.", show_default="the dataset")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Have the state before stand again.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Write a note on a dataset or a column beside its file, undo one, or show every state of it.

    Examples:

        headrace catalog note nyc.flights "Delays before 2013 are in minutes."
        headrace catalog note nyc.flights --column dep_delay
        headrace catalog note nyc.flights --undo
    """
    if undo and text is not None:
        raise HeadraceError("--undo has the state before stand again: it takes no text.")
    with session_of(context).client() as client:
        if undo or text is not None:
            _write(client, dataset, column, text)
        found = client.catalog.notes(dataset, column)
    emit({"notes": found}, output, lambda: _notes(found))


def _write(client: Client, dataset: str, column: str, text: str | None) -> None:
    """Write a note over the one that stands, or (None) undo that. Errors: HeadraceError when there is none to undo."""
    states = client.catalog.notes(dataset, column)
    if text is not None:
        client.catalog.write_note(dataset, text, column, states[0].id if states else 0)
    elif states:
        client.catalog.undo_note(dataset, states[0].id, column)
    else:
        raise HeadraceError(f"There is no note on {column or dataset} to undo.")


def _page(page: CatalogPage) -> Iterator[RenderableType]:
    if not page.items:
        yield f"Nothing was found. Fewer words, or their beginnings, find more; everything: {command('catalog search')}"
        return
    shown = table("dataset", "state", "rows are", "last loaded", "owner", "tags", "queries", right=("queries",))
    for item in page.items:
        shown.add_row(
            f"[bold]{safe(item.name)}[/]{' [yellow]★[/]' if item.favourite else ''}",
            _coloured(item.state, _STATES),
            _coloured(item.freshness, _FRESHNESS),
            moment(item.last_loaded_at),
            safe(item.owner),
            safe(", ".join(item.tags)) or NOTHING,
            number(item.queries),
        )
    yield shown
    if page.total > len(page.items):
        yield f"[dim]{len(page.items)} of {page.total:,}; --limit shows more, --domain, --owner and --tag narrow it[/]"


def _dataset(found: CatalogDataset) -> Iterator[RenderableType]:
    yield f"[bold]{safe(found.name)}[/]  {safe(found.description)}"
    if found.note:
        yield f"[italic]{safe(found.note)}[/]"
    yield (
        f"{_coloured(found.state, _STATES)}, {_coloured(found.freshness, _FRESHNESS)}, {safe(found.classification)}; "
        f"owned by {safe(found.owner)}; version {found.version} by {safe(found.changed_by)}, {moment(found.changed_at)}; "
        f"queried {count(found.queries, 'time')} in 30 days"
    )
    if found.needs:
        yield f"reads {safe(', '.join(found.needs))}"
    if not found.schema_:
        yield "No column is declared, and no row was seen yet."
        return
    shown = table(
        "column", "type", "class", "null", "distinct", "least", "greatest", "about", right=("null", "distinct")
    )
    for column in found.schema_:
        profile = column.profile
        hidden = "[dim]hidden[/]"
        shown.add_row(
            f"{safe(column.name)}{' [yellow]key[/]' if column.key else ''}",
            safe(column.type) if column.declared else f"[dim]{safe(column.type)}[/]",
            safe(column.classification),
            NOTHING if profile is None else f"{profile.null_share:.1%}",
            NOTHING if profile is None or profile.distinct_at_least is None else f"≥ {profile.distinct_at_least:,}",
            hidden if column.hidden else safe(profile.min if profile else None),
            hidden if column.hidden else safe(profile.max if profile else None),
            safe(" · ".join(filter(None, (column.description, column.note)))) or NOTHING,
        )
    yield shown


def _versions(found: list[CatalogVersion]) -> Iterator[RenderableType]:
    for version in found:
        yield f"[bold]version {version.version}[/] by {safe(version.applied_by)}, {moment(version.applied_at)}"
        for change in version.changes:
            told = f"{cell(change.before)} → {cell(change.after)}" if change.kind == "changed" else change.kind
            yield f"  {safe(change.path)}: {told}"


def _lineage(found: Lineage, columns: bool) -> Iterator[RenderableType]:
    labels = {node.id: _label(node) for node in found.nodes}
    if not found.edges:
        yield "It reads no other dataset, and none reads it."
    shown = table("read", "by", "as")
    for edge in sorted(found.edges, key=lambda edge: _distance(found, edge.reader)):
        how = ", ".join(edge.how) + (f" ({', '.join(edge.checks)})" if edge.checks else "")
        shown.add_row(labels[edge.origin], labels[edge.reader], safe(how))
        for column in edge.columns if columns else ():
            perhaps = "" if column.sure else "perhaps"
            shown.add_row(f"  [dim]{safe(column.origin)}[/]", f"  [dim]{safe(column.column)}[/]", f"[dim]{perhaps}[/]")
    if found.edges:
        yield shown
    if found.cut:
        yield "[dim]There is more, further away: --depth[/]"


def _distance(found: Lineage, identity: str) -> int:
    return next(node.distance for node in found.nodes if node.id == identity)


def _label(node: LineageNode) -> str:
    if node.kind == "source":
        return f"[dim]source: {safe(node.label)}[/]"
    if node.kind == "hidden":
        return f"[dim]{safe(node.label)}[/]"
    return f"[bold]{safe(node.label)}[/]" if node.distance == 0 else safe(node.label)


def _impact(dataset: str, found: ColumnImpact) -> Iterator[RenderableType]:
    what = f"{dataset}.{found.column}" if found.column else dataset
    if not found.items:
        yield f"Nothing breaks if {safe(what)} goes, as far as dataset files tell."
        return
    shown = table("dataset", "reads it of", "columns", "perhaps", "checks", "tests", "settings and conditions")
    for item in found.items:
        shown.add_row(
            "[dim]a dataset you may not see[/]" if item.dataset is None else f"[bold]{safe(item.dataset)}[/]",
            safe(item.via) if item.via else NOTHING,
            *(
                safe(", ".join(each)) or NOTHING
                for each in (item.columns, item.perhaps, item.checks, item.tests, (*item.settings, *item.conditions))
            ),
        )
    yield shown
    if found.owners:
        people = "1 person has" if found.users == 1 else f"{found.users:,} people have"
        yield f"Talk to {safe(', '.join(found.owners))}; {people} asked for rows in the last 30 days."


def _sample(found: Sample) -> Iterator[RenderableType]:
    if not found.rows:
        yield "There are no rows, or none that you see."
        return
    shown = table(*(column.name for column in found.columns))
    for row in found.rows:
        shown.add_row(*(cell(value) for value in row))
    yield shown
    if found.hidden:
        yield f"[dim]Hidden from you, in some rows or all: {safe(', '.join(found.hidden))}[/]"
    if found.filtered:
        yield "[dim]There may be rows that are hidden from you.[/]"


def _notes(found: list[Note]) -> Iterator[RenderableType]:
    if not found:
        yield "There is no note yet."
    for state in found:
        yield f"[dim]{moment(state.at)} {safe(state.by)}[/]  {safe(state.text) or '[dim]taken away[/]'}"


def _coloured(word: str, colours: dict[str, str]) -> str:
    return f"[{colours.get(word, 'dim')}]{safe(word)}[/]"
