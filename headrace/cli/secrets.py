"""Commands for the credentials of sources: set, ls, rm, rotate, new-key. A value is typed unseen or piped in, and never shown."""

import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.console import RenderableType

from headrace.cli.render import Format, Output, command, count, emit, moment, note, safe, table
from headrace.cli.session import session_of
from headrace.client import RotatedSecrets, Secrets
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="The credentials of sources, which dataset files name: secret://NAME.")

_STDIN: Final = "-"

Name = Annotated[str, typer.Argument(metavar="NAME", help="As dataset files name it, without secret://.")]


@app.command("set")
def set_secret(
    context: typer.Context,
    name: Name,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[-]", help="- reads the value from standard input.", show_default=False),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Give a secret a value, its first or its next. You are asked for it, unseen.

    From standard input one line end at the end is left out. Sources and transforms that name the secret begin anew with it.

    Examples:

        headrace secret set shop.password
        headrace secret set shop.key - < key.pem
    """
    value = _value(name, source)
    with session_of(context).client() as client:
        done = client.secrets.set(name, value)
    named = f", named by {', '.join(done.datasets)}" if done.datasets else ""
    emit(done, output, lambda: [f"[green]✓[/] [bold]{safe(done.name)}[/] version {done.version}{safe(named)}"])


@app.command("ls")
def ls(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the secrets: who set them and when, the master key they are under, the datasets that name them.

    Examples:

        headrace secret ls
        headrace secret ls -o json
    """
    with session_of(context).client() as client:
        found = client.secrets.list()
    emit(found, output, lambda: _listed(found))


@app.command("rm")
def rm(
    context: typer.Context,
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also when datasets name it: their sources stop.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Remove a secret. Refused while a dataset that is live names it.

    Examples:

        headrace secret rm shop.password
    """
    with session_of(context).client() as client:
        client.secrets.remove(name, force=force)
    emit({"removed": name}, output, lambda: [f"[green]✓[/] [bold]{safe(name)}[/] is removed"])


@app.command("rotate")
def rotate(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Put every secret under the current master key; the former key has to be known still. Again, it changes nothing.

    Exits with 1 when one could not be put under it.

    Examples:

        headrace secret rotate
    """
    with session_of(context).client() as client:
        done = client.secrets.rotate()
    emit(done, output, lambda: _rotated(done))
    if done.failed:
        raise typer.Exit(1)


@app.command("new-key")
def new_key(output: Output = Format.TABLE) -> None:
    """Print a new master key. It is kept nowhere: put it where the gateway, ingest and the transformer find it, and in a safe.

    Examples:

        headrace secret new-key
    """
    from headrace.secrets.keys import new_key as made

    key = made().get_secret_value()
    note(
        "For HEADRACE_MASTER_KEY, or as [bold]id: key[/] in the first line of the file HEADRACE_MASTER_KEY_FILE names."
    )
    emit({"key": key}, output, lambda: [key])


def _value(name: str, source: str | None) -> SecretStr:
    """What the user types or pipes. Errors: HeadraceError, which does not show what was given in the wrong place."""
    if source is None:
        if not _at_a_terminal():
            raise HeadraceError(f"There is no terminal to ask for the value. Pipe it: headrace secret set {name} -")
        value: str = typer.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
    elif source == _STDIN:
        value = one_line_end_less(sys.stdin.read())
    else:
        raise HeadraceError(
            "A value is no argument: others on this machine see those, and the shell keeps them. Consider it known, then "
            f"run: headrace secret set {name}"
        )
    if not value:
        raise HeadraceError("The value is empty: nothing was set.")
    return SecretStr(value)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def one_line_end_less(text: str) -> str:
    """What was piped in, without the line end that `echo` puts behind it."""
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text


def _listed(found: Secrets) -> Iterator[RenderableType]:
    if not found.items:
        yield f"There are no secrets yet.\n  Set one with {command('secret set NAME')}."
        return
    shown = table("secret", "version", "master key", "set by", "set at", "datasets", right=("version",))
    for each in found.items:
        old = each.key_id != found.current_key_id
        key = f"[yellow]{safe(each.key_id)}[/]" if old else safe(each.key_id)
        by = f"{each.set_by} for {each.kept_for}" if each.kept_for else each.set_by
        datasets = ", ".join(each.datasets) or None
        shown.add_row(
            f"[bold]{safe(each.name)}[/]", str(each.version), key, safe(by), moment(each.set_at), safe(datasets)
        )
    yield shown
    stale = sum(each.key_id != found.current_key_id for each in found.items)
    if stale:
        yield f"{count(stale, 'secret')} not under the current master key: {command('secret rotate')}"


def _rotated(done: RotatedSecrets) -> Iterator[RenderableType]:
    yield (
        f"{count(done.rotated, 'secret')} put under the master key [bold]{safe(done.current_key_id)}[/], "
        f"{done.unchanged} under it already"
    )
    for each in done.failed:
        yield f"  [bold red]failed[/] [bold]{safe(each.name)}[/] {safe(each.detail)}"
