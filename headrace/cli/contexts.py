"""Commands for the gateways one works with: ls, use, add, rm, show. No command shows a token."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import RenderableType

from headrace.cli import stack
from headrace.cli.completion import context_names
from headrace.cli.render import Format, Output, command, emit, safe, table
from headrace.cli.secrets import one_line_end_less
from headrace.cli.session import session_of
from headrace.client import Client
from headrace.client.contexts import LOCAL, Context, ContextFile
from headrace.errors import HeadraceError

app = typer.Typer(no_args_is_help=True, help="The gateways you work with. Without any, commands go to the local stack.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The context.", show_default=False, autocompletion=context_names)
]


@app.command("ls")
def ls(output: Output = Format.TABLE) -> None:
    """List the contexts: their gateways, and where their tokens are from. No token is shown.

    Examples:

        headrace context ls
        headrace context ls -o json
    """
    contexts = ContextFile.of_user()
    items = [_told(contexts, name) for name in contexts.names]
    emit({"items": items}, output, lambda: _listed(items))


@app.command("use")
def use(name: Name, output: Output = Format.TABLE) -> None:
    """Make a context the one of commands that name none.

    Examples:

        headrace context use production
        headrace context use local
    """
    contexts = ContextFile.of_user()
    contexts.use(name)
    contexts.save()
    told = _told(contexts, name)
    emit(told, output, lambda: [f"[green]✓[/] commands go to [bold]{safe(name)}[/], {safe(told['url'])}"])


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How to call it.", show_default=False)],
    url: Annotated[str, typer.Argument(metavar="URL", help="The gateway.", show_default=False)],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[-]", help="- reads the token from standard input.", show_default=False),
    ] = None,
    token_env: Annotated[
        str | None, typer.Option("--token-env", metavar="VARIABLE", help="The token is in this variable.")
    ] = None,
    token_command: Annotated[
        str | None, typer.Option("--token-command", metavar="COMMAND", help="This command prints the token.")
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="There is no token.")] = False,
    used: Annotated[bool, typer.Option("--use", help="Use it from now on.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="In place of one of the same name.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Add a gateway. You are asked for its token, unseen; it is kept in a file that only you can open.

    Examples:

        headrace context add production https://data.example.com --use
        headrace context add production https://data.example.com --token-command "pass show headrace" --replace
        headrace context add staging https://staging.example.com --token-env STAGING_TOKEN
    """
    contexts = ContextFile.of_user()
    if name in contexts.contexts and not replace:
        raise HeadraceError(f"There is a context {name} already. Put this one in its place with --replace.")
    if sum([source is not None, token_env is not None, token_command is not None, no_token]) > 1:
        raise HeadraceError("Say one of: -, --token-env, --token-command, --no-token.")
    Client(url).close()  # an address that is none is told now
    asked = None if token_env or token_command or no_token else _token(name, source)
    contexts.put(name, Context(url=url.rstrip("/"), token=asked, token_env=token_env, token_command=token_command))
    if used:
        contexts.use(name)
    contexts.save()
    told = _told(contexts, name)
    hint = "" if told["current"] else f"\n  Use it: {command(f'context use {name}')}"
    emit(told, output, lambda: [f"[green]✓[/] [bold]{safe(name)}[/] is added to {safe(contexts.path)}{hint}"])


@app.command("rm")
def rm(name: Name, output: Output = Format.TABLE) -> None:
    """Remove a context, and its token with it.

    Examples:

        headrace context rm staging
    """
    contexts = ContextFile.of_user()
    contexts.remove(name)
    contexts.save()
    emit({"removed": name}, output, lambda: [f"[green]✓[/] [bold]{safe(name)}[/] is removed"])


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="A context.", show_default="the one in use", autocompletion=context_names
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show a context, or to which gateway commands go as things are.

    Examples:

        headrace context show
        headrace context show production
    """
    contexts = ContextFile.of_user()
    session = session_of(context)
    told = _told(contexts, name or session.context or contexts.current)
    if name is None and session.url is not None:
        told = {"name": None, "url": session.url, "token": "none", "current": True}
    if name is None and session.token is not None:
        told["token"] = "--token or HEADRACE_TOKEN"  # noqa: S105 - that is where it is from
    shown = {**told, "file": str(contexts.path)}
    emit(shown, output, lambda: [f"{label:<8} {safe(shown[label])}" for label in ("name", "url", "token", "file")])


def _told(contexts: ContextFile, name: str) -> dict[str, Any]:
    """What may be seen of a context."""
    context = contexts.get(name)
    url = context.url if context is not None else stack.settings().gateway_url
    token = context.token_from if context is not None else "the local stack's administrator"
    return {"name": name, "url": url, "token": token, "current": name == contexts.current}


def _listed(items: list[dict[str, Any]]) -> Iterator[RenderableType]:
    shown = table("", "context", "gateway", "token from")
    for each in items:
        mark = "[green]●[/]" if each["current"] else ""
        shown.add_row(mark, f"[bold]{safe(each['name'])}[/]", safe(each["url"]), safe(each["token"]))
    yield shown
    if [each["name"] for each in items] == [LOCAL]:
        yield f"Only the local stack is known. Add a gateway: {command('context add NAME URL')}"


def _token(name: str, source: str | None) -> SecretStr:
    """What the user types or pipes. Errors: HeadraceError, which does not show what was given in the wrong place."""
    if source is None:
        if not sys.stdin.isatty():
            raise HeadraceError(
                f"There is no terminal to ask for the token. Pipe it: headrace context add {name} URL - "
                "or say --token-env, --token-command or --no-token."
            )
        value: str = typer.prompt(f"Token for {name}", hide_input=True, err=True)
    elif source == "-":
        value = one_line_end_less(sys.stdin.read())
    else:
        raise HeadraceError(
            "A token is no argument: others on this machine see those, and the shell keeps them. Consider it known."
        )
    if not value.strip():
        raise HeadraceError("The token is empty: nothing was added. A gateway without one: --no-token.")
    return SecretStr(value.strip())
