"""Commands that look at a source before anything is saved of it: check, discover, propose."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from headrace.cli import files
from headrace.cli.render import NOTHING, Format, Output, command, console, count, emit, note, number, safe, table
from headrace.cli.session import session_of
from headrace.client import SourceColumn, SourcePart
from headrace.errors import HeadraceError

app = typer.Typer(
    no_args_is_help=True, help="Look at a source before anything is saved of it; see to one that is live."
)

SourceFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE", help="A file with a `source:` section, or - for standard input.", show_default=False
    ),
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="NAME=VALUE",
        help="A setting of the source, such as `type=sql` or `csv.delimiter=;`.",
        show_default=False,
    ),
]
_NAMES_SHOWN: Final = 20
_NO_SETTINGS: Final[list[str]] = []


@app.command()
def check(
    context: typer.Context, file: SourceFile = None, settings: Settings = _NO_SETTINGS, output: Output = Format.TABLE
) -> None:
    """Try a source step by step, as ingest would reach it. Saves nothing.

    Exits with 1 when a step fails.

    Examples:

        headrace source check orders.yaml
        headrace source check -s type=sql -s database=postgresql -s name=shop -s table=orders -s key=[id]
    """
    parts = _looked_at(context, _document(file, settings), output, discover=False)
    emit(_as_data(parts), output, lambda: ())
    _exit(parts)


@app.command()
def discover(
    context: typer.Context, file: SourceFile = None, settings: Settings = _NO_SETTINGS, output: Output = Format.TABLE
) -> None:
    """Try a source, and show what it offers: columns, candidates for keys and cursors, likely personal data.

    Of a database without a `table` or `query`, it lists the tables and views there are.

    Examples:

        headrace source discover -s type=sql -s database=postgresql -s host=db -s name=shop -s user=reader

        headrace source discover orders.yaml
        headrace source discover -s type=file -s path=orders.csv -o json
    """
    parts = _looked_at(context, _document(file, settings), output, discover=True)
    emit(_as_data(parts), output, lambda: _streams(parts))
    _exit(parts)


@app.command()
def propose(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", help="The dataset's name, domain.name.", show_default=False)],
    file: SourceFile = None,
    settings: Settings = _NO_SETTINGS,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; - for standard output.", show_default="<name>.yaml")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a dataset file for a source: its columns with their types, its key, what seems to be personal data.

    Examples:

        headrace source propose source.yaml --name shop.orders
        headrace source propose -s type=file -s path=orders.csv --name shop.orders --out -
    """
    from headrace.cli import starter
    from headrace.contract import load

    document = _document(file, settings)
    parts = _looked_at(context, document, Format.TABLE, discover=True)
    _exit(parts)
    streams = [part for part in parts if part.part == "stream"]
    if len(streams) != 1 or not streams[0].columns:
        raise HeadraceError(_choice(streams))
    text = starter.document(name, _found(document["source"], streams[0]))
    load(text, f"--name {name}")
    target = out or Path(f"{name.rpartition('.')[2]}.yaml")
    files.write(target, text, force=force)
    if target != files.STANDARD:
        note(f"  [dim]→[/] Say who owns it, then: {command(f'apply -f {target}')}")


def _document(file: Path | None, settings: list[str]) -> dict[str, Any]:
    """A dataset file, as far as it is written, with settings of its source put in. Errors: HeadraceError."""
    document: Any = {}
    if file is not None:
        origin, text = files.text_of(file)
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise HeadraceError(f"{origin}: is no YAML: {str(error).splitlines()[0]}.") from error
        if not isinstance(document, dict) or not isinstance(document.get("source"), dict):
            raise HeadraceError(f"{origin}: has no `source:` section with settings.")
    source = document.setdefault("source", {})
    for setting in settings:
        _put(source, setting)
    if not source:
        raise HeadraceError("Say which source: name a file with a `source:` section, or give its settings with --set.")
    return dict(document)


def _put(source: dict[str, Any], setting: str) -> None:
    """Put `a.b=value` in. The value is read as YAML, so that numbers and lists can be given."""
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise HeadraceError(f"--set {setting}: is not written as NAME=VALUE.")
    *above, last = path.split(".")
    for key in above:
        inner = source.setdefault(key, {})
        if not isinstance(inner, dict):
            raise HeadraceError(f"--set {setting}: {key} is a value already, and holds no settings.")
        source = inner
    try:
        source[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        source[last] = text


def _looked_at(context: typer.Context, document: dict[str, Any], output: Format, *, discover: bool) -> list[SourcePart]:
    """What the gateway says of the source. A person sees each step as it ends."""
    parts = []
    shown = console(err=True)
    with session_of(context).client() as client:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        for part in (client.sources.discover if discover else client.sources.check)(text):
            parts.append(part)
            if part.part == "step" and output is Format.TABLE:
                for line in _step(part):
                    shown.print(line)
    return parts


def _step(step: SourcePart) -> Iterator[str]:
    mark = "[green]✓[/]" if step.ok else "[red]✗[/]"
    took = f" [dim]{step.took_s:.2f} s[/]" if step.took_s is not None else ""
    yield f"{mark} [bold]{safe(step.name)}[/] {safe(step.message)}{took}"
    if step.field:
        yield f"  [dim]setting[/] {safe(step.field)}"
    if step.remedy:
        yield f"  [dim]→[/] {safe(step.remedy)}"


def _choice(streams: Sequence[SourcePart]) -> str:
    """What there is to choose from."""
    names = [stream.name for stream in streams]
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    offered = f"{count(len(names), 'stream')}{': ' if names else ''}{shown}"
    return f"The source offers {offered}. Choose one, as with: --set table=NAME."


def _unchosen(streams: Sequence[SourcePart]) -> Iterator[Any]:
    shown = table("schema", "name", "kind", "rows, about", right=("rows, about",))
    for stream in streams:
        shown.add_row(safe(stream.namespace), safe(stream.name), safe(stream.kind), number(stream.rows_estimated))
    yield shown
    yield "Choose one: --set table=NAME"


def _streams(parts: Iterable[SourcePart]) -> Iterator[Any]:
    streams = [part for part in parts if part.part == "stream"]
    unchosen = [stream for stream in streams if not stream.columns and stream.kind]
    if unchosen:
        yield from _unchosen(unchosen)
    for stream in streams:
        if stream in unchosen:
            continue
        sampled = count(stream.rows_sampled, "row")
        yield f"\n[bold]{safe(stream.name)}[/]: {count(len(stream.columns), 'column')}, {sampled} looked at"
        shown = table("column", "type", "missing", "examples", "personal data?", right=("missing",))
        for column in stream.columns:
            shown.add_row(*_column(column))
        yield shown
        certain = "key" if stream.keys_declared else "may identify a row"
        yield f"{certain}: {safe(', '.join(stream.keys)) or NOTHING}"
        yield f"may be resumed by: {safe(', '.join(stream.cursors)) or NOTHING}"


def _column(column: SourceColumn) -> tuple[str, str, str, str, str]:
    missing = NOTHING if column.null_share is None else number(100 * column.null_share, "%")
    personal = f"{column.personal['what']} (by its {column.personal['why']})" if column.personal else ""
    return safe(column.name), _type(column.type), missing, safe(", ".join(column.examples)), safe(personal)


def _type(declared: dict[str, Any]) -> str:
    narrowed = declared.get("physicalType") or declared.get("logicalTypeOptions", {}).get("format")
    return safe(f"{declared['logicalType']} ({narrowed})" if narrowed else declared["logicalType"])


def _found(source: dict[str, Any], stream: SourcePart) -> Any:
    """A stream as the writer of starter files takes it."""
    from headrace.cli.starter import Column, Found

    columns = [
        Column(
            column.name,
            column.type,
            column.examples[:1],
            bool(column.null_share),
            column.unique,
            column.personal["what"] if column.personal else "",
        )
        for column in stream.columns
    ]
    return Found(f"Rows of {stream.name}.", source, columns, stream.keys if stream.keys_declared else ())


def _as_data(parts: Iterable[SourcePart]) -> dict[str, Any]:
    """What was said, for programs."""
    of = {kind: [_said(part) for part in parts if part.part == kind] for kind in ("step", "stream", "end")}
    return {"ok": all(end["ok"] for end in of["end"]), "steps": of["step"], "streams": of["stream"]}


def _said(part: SourcePart) -> dict[str, Any]:
    return part.model_dump(exclude_defaults=True, exclude={"part"}) | ({"ok": part.ok} if part.ok is not None else {})


def _exit(parts: Iterable[SourcePart]) -> None:
    if not all(part.ok for part in parts if part.part == "end"):
        raise typer.Exit(1)
