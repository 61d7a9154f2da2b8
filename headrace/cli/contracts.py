"""Commands that translate dataset files from and to the Open Data Contract Standard."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import files
from headrace.cli.render import note, safe

app = typer.Typer(no_args_is_help=True, help="Translate dataset files from and to the Open Data Contract Standard.")

Source = Annotated[
    Path, typer.Argument(metavar="FILE", help="The file to translate; - for standard input.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", help="Where to write; - for standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]


@app.command("export")
def export_contract(
    source: Annotated[
        Path, typer.Option("--odcs", metavar="FILE", help="The dataset file to translate to ODCS.", show_default=False)
    ],
    out: Out = files.STANDARD,
    force: Force = False,
) -> None:
    """Write a dataset file as a contract of the Open Data Contract Standard v3.

    Examples:

        headrace contract export --odcs flights.yaml --out flights.odcs.yaml
    """
    from headrace.cli.standard import exported

    origin, text = files.text_of(source)
    files.write(out, exported(text, origin), force=force)


@app.command("import")
def import_contract(
    source: Source,
    table: Annotated[
        str | None, typer.Option("--table", help="Which table, when the contract has several.", show_default=False)
    ] = None,
    out: Out = files.STANDARD,
    force: Force = False,
) -> None:
    """Write a contract of the Open Data Contract Standard v3 as a dataset file.

    A contract made elsewhere says nothing of a source: the dataset takes rows by HTTP until it has one.

    Examples:

        headrace contract import flights.odcs.yaml --out flights.yaml
        headrace contract import warehouse.odcs.yaml --table orders --out orders.yaml
    """
    from headrace.cli.standard import imported

    origin, text = files.text_of(source)
    document, missing = imported(text, origin, table)
    for each in missing:
        note(f"[yellow]Left out:[/] {safe(each)}: a dataset file has no word for it")
    files.write(out, document, force=force)
