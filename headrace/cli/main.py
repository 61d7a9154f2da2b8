"""The program `headrace`: its commands and global options."""

from dataclasses import replace
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer

from headrace.cli import (
    access,
    audit,
    authorize,
    catalog,
    catalog_people,
    contexts,
    contracts,
    datasets,
    demo,
    drift,
    exports,
    generation_diff,
    generations,
    local,
    observe,
    overrides,
    quarantine,
    render,
    rows,
    runs,
    secrets,
    sign_in,
    source_control,
    sources,
    testing,
    tokens,
)
from headrace.cli.completion import context_names
from headrace.cli.render import Format, Output
from headrace.cli.session import session_of
from headrace.cli.shell import Shell
from headrace.client import ApiError, Unreachable
from headrace.errors import HeadraceError

app = typer.Typer(
    name="headrace",
    cls=Shell,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="A self-hosted streaming data platform: one file per dataset, every row accounted for.\n\n"
    "Results go to standard output, everything else to standard error. `-o json` and `-o yaml` print one document for "
    "programs; NO_COLOR is honoured.",
    epilog="Exit codes: 0 done, 1 failed, 2 `plan` has found changes.",
)


@app.callback()
def root(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(envvar="HEADRACE_URL", help="The gateway.", show_default="the context's"),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="HEADRACE_TOKEN", help="Who you are to it.", show_default="the context's"),
    ] = None,
    context_name: Annotated[
        str | None,
        typer.Option(
            "--context",
            envvar="HEADRACE_CONTEXT",
            help="The gateway, by the name you gave it.",
            show_default="the one in use",
            autocompletion=context_names,
        ),
    ] = None,
) -> None:
    if url and context_name and _typed(context, "context_name"):
        raise HeadraceError(f"--context {context_name}, and --url or HEADRACE_URL: both name a gateway. Leave one out.")
    context.obj = replace(
        session_of(context), url=url or None, token=(token or "").strip() or None, context=context_name or None
    )


def _typed(context: typer.Context, name: str) -> bool:
    """Whether an option stood on the command line, not in the environment."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def version(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show the version of this program, and of the gateway when it answers.

    Examples:

        headrace version
    """
    known: dict[str, Any] = {"client": installed_version("headrace"), "gateway": None}
    try:
        with session_of(context).client(retries=0) as client:
            known["gateway"] = client.version().version
    except (ApiError, Unreachable) as error:
        silent = str(error)
    else:
        silent = ""
    render.emit(
        known,
        output,
        lambda: [f"headrace {known['client']}", f"gateway  {known['gateway'] or render.safe(silent)}"],
    )


def _assemble() -> None:
    start, files, change, look = "Local stack", "Dataset files", "Safe change", "Look"
    hand, who = "Decide by hand", "Who and where"
    for command, panel in (
        (local.up, start), (local.down, start), (local.doctor, start), (demo.demo, start),
        (datasets.init, files), (datasets.validate, files), (datasets.plan, files), (datasets.apply, files),
        (observe.status, look), (observe.tail, look), (observe.ledger, look), (observe.query, look), (rows.row, look),
        (generation_diff.diff, look),
    ):  # fmt: skip
        app.command(rich_help_panel=panel)(command)
    control = source_control
    for act in (control.pause, control.resume, control.run, control.backfill, control.release, control.holdings):
        sources.app.command()(act)
    sources.app.command()(authorize.authorize)
    people = catalog_people
    for shown in (people.usage, people.storage, people.contract, people.threads, people.say, people.resolve):
        catalog.app.command()(shown)
    app.add_typer(catalog.app, name="catalog", rich_help_panel=look)
    app.add_typer(quarantine.app, name="quarantine", rich_help_panel=look)
    app.add_typer(exports.app, name="export", rich_help_panel=look)
    app.add_typer(drift.app, name="drift", rich_help_panel=look)
    app.command("test", rich_help_panel=files)(testing.run)
    app.add_typer(sources.app, name="source", rich_help_panel=files)
    app.add_typer(runs.app, name="runs", rich_help_panel=files)
    app.add_typer(contracts.app, name="contract", rich_help_panel=files)
    app.add_typer(secrets.app, name="secret", rich_help_panel=files)
    for link in (sign_in.first_admin, sign_in.reset_link):
        access.app.command()(link)
    app.add_typer(audit.app, name="audit", rich_help_panel=look)
    for step in (generations.replay, generations.promote, generations.rollback, generations.retire):
        app.command(rich_help_panel=change)(step)
    app.add_typer(generations.app, name="generations", rich_help_panel=change)
    for decide in (overrides.skip, overrides.pin, overrides.unpin, overrides.overrides):
        app.command(rich_help_panel=hand)(decide)
    app.add_typer(overrides.hold, name="hold", rich_help_panel=hand)
    app.add_typer(access.app, name="access", rich_help_panel=who)
    app.add_typer(tokens.app, name="token", rich_help_panel=who)
    app.add_typer(contexts.app, name="context", rich_help_panel=who)
    app.command()(version)


_assemble()
