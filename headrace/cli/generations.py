"""Commands about generations: replay a file beside what is live, promote it, go back, retire one; and list them."""

from pathlib import Path
from typing import Annotated

import typer

from headrace.cli import tables, testing
from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, safe
from headrace.cli.session import session_of
from headrace.cli.source_control import moment_given
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="See the generations of a dataset: which is live, and how far others are.")

GenerationArgument = Annotated[
    int,
    typer.Argument(metavar="GENERATION", min=1, help="Its number, as `generations ls` shows it.", show_default=False),
]
Because = Annotated[str, typer.Option("--because", help="Why; kept with the generation.", show_default=False)]


@app.command("ls")
def generations_ls(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """List a dataset's generations, the newest first: state, version, who, when and why; rows, and how far behind each is.

    Examples:

        headrace generations ls nyc.flights
    """
    with session_of(context).client() as client:
        items = client.generations.list(dataset)
    emit({"items": items}, output, lambda: tables.generations(dataset, items))


def replay(
    context: typer.Context,
    dataset: DatasetArgument,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The dataset file, or - for standard input.", show_default=False)
    ],
    because: Because,
    begin: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Only rows ingested then or later; UTC unless it says otherwise."),
    ] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Only rows ingested before.")] = "",
    skip_tests: Annotated[
        bool, typer.Option("--skip-tests", help="Without running the file's tests; --because says why, too.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Have a dataset file, which may break what is live, fill topics and a table of its own, from the first record on.

    What is live goes on, and its readers see nothing of it until it is promoted. It takes its turn behind the live stream.
    Records that retention has deleted from the topic are read from the lake.

    With --from or --to it holds only rows that were ingested in that range. It is to be compared with what is live
    (`headrace diff` does so within the range), and cannot be promoted: readers would miss all other rows.

    Examples:

        headrace replay nyc.flights -f flights.yaml --because "delays are in seconds now"
        headrace replay nyc.flights -f flights.yaml --from 2026-01-24 --because "what the new rule makes of a week"
    """
    from headrace.cli.datasets import all_valid
    from headrace.cli.documents import read

    documents = all_valid(read([file]))
    if len(documents) != 1 or documents[0].valid.dataset != dataset:
        found = ", ".join(document.valid.dataset for document in documents)
        raise HeadraceError(f"{file} describes {found}; a replay takes the one file of {dataset}.")
    if not skip_tests:
        testing.all_pass(documents)
    with session_of(context).client() as client:
        made = client.generations.replay(
            dataset,
            documents[0].whole,
            because,
            skip_tests=because if skip_tests else None,
            ingested_from=moment_given("--from", begin) if begin else None,
            ingested_to=moment_given("--to", end) if end else None,
        )
    follow = command(f"generations ls {dataset}")
    emit(
        made,
        output,
        lambda: [
            f"Generation {made.generation} of [bold]{safe(dataset)}[/], version {made.version}, begins. Watch it: {follow}"
        ],
    )


def promote(
    context: typer.Context,
    dataset: DatasetArgument,
    generation: GenerationArgument,
    because: Because,
    force: Annotated[
        bool, typer.Option("--force", help="Also when it has not caught up: readers miss rows until it has.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Have readers see a generation: all of it, at once. The one that was live is kept, and goes on being loaded.

    Examples:

        headrace promote nyc.flights 2 --because "compared with generation 1"
    """
    with session_of(context).client() as client:
        now = client.generations.promote(dataset, generation, because, force=force)
    back = command(f"rollback {dataset} --because TEXT")
    emit(now, output, lambda: [f"Generation {now.generation} of [bold]{safe(dataset)}[/] is live. To go back: {back}"])


def rollback(context: typer.Context, dataset: DatasetArgument, because: Because, output: Output = Format.TABLE) -> None:
    """Have readers see the generation that was live before. It was loaded all the while, so nothing is missing.

    Examples:

        headrace rollback nyc.flights --because "the new delays are wrong"
    """
    with session_of(context).client() as client:
        live = next(each for each in client.generations.list(dataset) if each.state == "live")
        now = client.generations.rollback(dataset, live.generation, because)
    emit(
        now,
        output,
        lambda: [
            f"Generation {now.generation} of [bold]{safe(dataset)}[/] is live again; generation {live.generation} is a "
            f"candidate. See: {command(f'generations ls {dataset}')}"
        ],
    )


def retire(
    context: typer.Context,
    dataset: DatasetArgument,
    generation: GenerationArgument,
    because: Because,
    output: Output = Format.TABLE,
) -> None:
    """Give up a generation that is not live, for ever: its work ends, then its topics, table, groups and schemas are dropped.

    It is refused while a branch (source.type: dataset) reads it.

    Examples:

        headrace retire nyc.flights 1 --because "nobody needs the old delays"
    """
    with session_of(context).client() as client:
        gone = client.generations.retire(dataset, generation, because)
    emit(
        gone,
        output,
        lambda: [f"Generation {gone.generation} of [bold]{safe(dataset)}[/] is retired; its rows are dropped."],
    )
