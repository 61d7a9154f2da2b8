"""Commands for who may do what: users, grants, roles, and who may do what with a dataset."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from headrace.cli.observe import DatasetArgument
from headrace.cli.render import Format, Output, command, emit, safe, table
from headrace.cli.session import session_of
from headrace.client.results.access import DatasetAccess, Grant, Roles, User

app = typer.Typer(no_args_is_help=True, help="Who there is, and who may do what.")

UserId = Annotated[str, typer.Argument(metavar="ID", help="Their id, as `access users` shows it.", show_default=False)]
Email = Annotated[str | None, typer.Option("--email", help="Their address.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group they are in; may be given again.")]


@app.command("me")
def me(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show who you are to the gateway.

    Examples:

        headrace access me
    """
    with session_of(context).client() as client:
        found = client.access.me()
    emit(found, output, lambda: _users([found]))


@app.command("users")
def users(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List users and service accounts.

    Examples:

        headrace access users
    """
    with session_of(context).client() as client:
        items = client.access.users()
    none = f"There is nobody yet but the administrator. Add somebody: {command('access add-user NAME')}"
    emit({"items": items}, output, lambda: _users(items) if items else [none])


@app.command("add-user")
def add_user(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Unique; shown and logged.", show_default=False)],
    service: Annotated[bool, typer.Option("--service", help="A program, not a person.")] = False,
    email: Email = None,
    groups: Groups = None,
    output: Output = Format.TABLE,
) -> None:
    """Add a user or a service account, who may do nothing until it is granted.

    Examples:

        headrace access add-user ada --group finance
        headrace access add-user grafana --service
    """
    with session_of(context).client() as client:
        made = client.access.add_user(name, kind="service" if service else "user", email=email, groups=groups)
    emit(made, output, lambda: _users([made]))


@app.command("change-user")
def change_user(
    context: typer.Context,
    user_id: UserId,
    name: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    email: Email = None,
    groups: Groups = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Who is inactive may do nothing.", show_default=False)
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Change a user or a service account; what is left out stays. Groups are replaced by those that are given.

    Examples:

        headrace access change-user u-9f86d081884c7d65 --inactive
    """
    with session_of(context).client() as client:
        changed = client.access.change_user(user_id, name=name, email=email, groups=groups, active=active)
    emit(changed, output, lambda: _users([changed]))


@app.command("rm-user")
def rm_user(context: typer.Context, user_id: UserId, output: Output = Format.TABLE) -> None:
    """Remove a user or a service account, with their tokens and what was granted to them.

    Examples:

        headrace access rm-user u-9f86d081884c7d65
    """
    with session_of(context).client() as client:
        client.access.remove_user(user_id)
    emit({"removed": user_id}, output, lambda: [f"[green]✓[/] [bold]{safe(user_id)}[/] is removed"])


@app.command("roles")
def roles(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the roles: what each may do, and up to which classification it sees values.

    Examples:

        headrace access roles
    """
    with session_of(context).client() as client:
        found = client.access.roles()
    emit(found, output, lambda: _roles(found))


@app.command("grants")
def grants(
    context: typer.Context,
    to: Annotated[str | None, typer.Option("--to", metavar="USER", help="Only those for this user.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List what was granted within the scopes that you govern.

    Examples:

        headrace access grants
        headrace access grants --to ada
    """
    with session_of(context).client() as client:
        items = client.access.grants(to)
    none = f"Nothing is granted there. Grant a role: {command('access grant user:NAME ROLE SCOPE')}"
    emit({"items": items}, output, lambda: _grants(items) if items else [none])


@app.command("grant")
def grant(
    context: typer.Context,
    to: Annotated[str, typer.Argument(metavar="TO", help="user:NAME or group:NAME.", show_default=False)],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="As `access roles` shows it.", show_default=False)],
    scope: Annotated[
        str, typer.Argument(metavar="SCOPE", help="'*', domain:D, dataset:D.N or tag:T.", show_default=False)
    ],
    rows: Annotated[
        str | None, typer.Option("--rows", metavar="SQL", help="Only rows for which this is true show.")
    ] = None,
    clearance: Annotated[
        str | None,
        typer.Option("--clearance", help="Values up to this classification show.", show_default="the role's"),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Grant a role within a scope. Every service knows it within two seconds.

    Examples:

        headrace access grant group:finance analyst domain:shop
        headrace access grant user:ada analyst dataset:shop.orders --rows "region = 'EU'" --clearance confidential
    """
    with session_of(context).client() as client:
        made = client.access.grant(to, role, scope, rows=rows, clearance=clearance)
    emit(made, output, lambda: _grants([made]))


@app.command("revoke")
def revoke(
    context: typer.Context,
    grant_id: Annotated[
        str, typer.Argument(metavar="ID", help="The grant's, as `access grants` shows it.", show_default=False)
    ],
    output: Output = Format.TABLE,
) -> None:
    """Take a grant back. Every service knows it within two seconds.

    Examples:

        headrace access revoke g-9f86d081884c7d65
    """
    with session_of(context).client() as client:
        client.access.revoke(grant_id)
    emit({"revoked": grant_id}, output, lambda: [f"[green]✓[/] [bold]{safe(grant_id)}[/] is taken back"])


@app.command("who")
def who(context: typer.Context, dataset: DatasetArgument, output: Output = Format.TABLE) -> None:
    """Show who may do what with a dataset, and what they see of it.

    Examples:

        headrace access who shop.orders
    """
    with session_of(context).client() as client:
        items = client.access.of_dataset(dataset)
    none = f"Nobody may do anything with {safe(dataset)} but the administrator."
    emit({"items": items}, output, lambda: _accesses(items) if items else [none])


def _users(items: Sequence[User]) -> Iterator[RenderableType]:
    shown = table("name", "kind", "email", "groups", "active", "id")
    for each in items:
        active = "yes" if each.active else "[yellow]no[/]"
        cells = (safe(each.kind), safe(each.email), safe(", ".join(each.groups)), active, safe(each.id))
        shown.add_row(f"[bold]{safe(each.name)}[/]", *cells)
    yield shown


def _roles(found: Roles) -> Iterator[RenderableType]:
    shown = table("role", "may", "sees values up to")
    for name, role in found.items.items():
        shown.add_row(f"[bold]{safe(name)}[/]", safe(", ".join(role.actions)), safe(role.clearance))
    yield shown


def _grants(items: Sequence[Grant]) -> Iterator[RenderableType]:
    shown = table("to", "role", "scope", "rows", "up to", "id")
    for each in items:
        to = f"{each.to.partition(':')[0]}:{each.name or each.to.partition(':')[2]}"
        rest = (each.role, each.scope, each.rows or "all", each.clearance, each.id)
        shown.add_row(f"[bold]{safe(to)}[/]", *map(safe, rest))
    yield shown


def _accesses(items: Sequence[DatasetAccess]) -> Iterator[RenderableType]:
    shown = table("who", "may", "rows", "hidden columns")
    for each in items:
        sight = each.sight
        rows = "none" if sight is None else "all" if sight.rows is None else " or ".join(sight.rows)
        hidden = "" if sight is None else ", ".join(sight.masked)
        shown.add_row(f"[bold]{safe(each.user.name)}[/]", *map(safe, (", ".join(each.actions), rows, hidden)))
    yield shown
