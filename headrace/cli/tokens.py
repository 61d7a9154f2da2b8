"""Commands for bearer tokens: ls, new, rm. A secret is shown once, when it is made."""

from typing import Annotated

import typer

from headrace.cli.render import Format, Output, command, emit, moment, note, safe, table
from headrace.cli.session import session_of
from headrace.cli.source_control import moment_given

app = typer.Typer(no_args_is_help=True, help="Bearer tokens: what programs sign in with.")


@app.command("ls")
def ls(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List your tokens; an administrator's list has those of all. No secret is shown.

    Examples:

        headrace token ls
    """
    with session_of(context).client() as client:
        items = client.tokens.list()
    shown = table("token", "of", "for", "within", "expires", "last used", "id")
    for each in items:
        cells = (each.owner, ", ".join(each.actions), ", ".join(each.scopes), moment(each.expires_at))
        used = moment(each.last_used_at)
        shown.add_row(f"[bold]{safe(each.name)}[/]", *map(safe, (*cells, used, each.id)))
    none = f"There are no tokens yet. Make one: {command('token new NAME')}"
    emit({"items": items}, output, lambda: [shown] if items else [none])


@app.command("new")
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what uses it.", show_default=False)],
    owner: Annotated[str | None, typer.Option("--owner", help="Whom it stands for.", show_default="yourself")] = None,
    actions: Annotated[
        list[str] | None,
        typer.Option("--action", help="What it may be used for; may be given again.", show_default="see, query"),
    ] = None,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Within which of these; may be given again.", show_default="everything"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="A day or a time, in UTC.", show_default="never")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make a token. Its secret is shown this once: only a hash of it is kept.

    Examples:

        headrace token new grafana --owner grafana --scope domain:shop --expires 2027-01-01
        headrace token new ci --action see --action edit -o json | jq -r .token
    """
    expires_at = None if expires is None else moment_given("--expires", expires)
    with session_of(context).client() as client:
        made = client.tokens.create(name, owner=owner, actions=actions, scopes=scopes, expires_at=expires_at)
    secret = made.token.get_secret_value()
    note(f"The token [bold]{safe(made.name)}[/] of {safe(made.owner)}. Keep it now: it is not shown again.")
    emit({**made.model_dump(), "token": secret}, output, lambda: [safe(secret)])


@app.command("rm")
def rm(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `token ls` shows it.", show_default=False)],
    output: Output = Format.TABLE,
) -> None:
    """Make a token worthless. Every service refuses it within two seconds.

    Examples:

        headrace token rm 9f86d081884c7d65
    """
    with session_of(context).client() as client:
        client.tokens.revoke(token_id)
    emit({"revoked": token_id}, output, lambda: [f"[green]✓[/] [bold]{safe(token_id)}[/] is worth nothing any more"])
