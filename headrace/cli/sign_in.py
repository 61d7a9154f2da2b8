"""Commands that let people in: the link for the first administrator, and links with which somebody sets a password."""

from typing import Annotated, Final

import typer

from headrace.cli.render import Format, Output, console, emit, moment, note, safe
from headrace.cli.session import session_of
from headrace.client import OneTimeLink

app = typer.Typer(no_args_is_help=True, help="Who signs in: one-time links for people.")

_ONCE: Final = "It works once, for whoever has it: hand it on where nobody else reads it."


@app.command("first-admin")
def first_admin(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Print the link with which somebody becomes the first administrator: a person with a name and a password.

    It is there until there is one. It needs the administrator's token, which stays for emergencies.

    Examples:

        headrace access first-admin
    """
    with session_of(context).client() as client:
        link, url = client.setup_link(), client.url
    _emit(url, link, output)


@app.command("reset-link")
def reset_link(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to set a password, by name or id.")],
    output: Output = Format.TABLE,
) -> None:
    """Print a link with which somebody sets a password: the first one, or another one when theirs is forgotten.

    It ends all their sessions when it is used. A link that was made for them before is worth nothing any more.

    Examples:

        headrace access reset-link ada
    """
    with session_of(context).client() as client:
        link, url = client.reset_link(name), client.url
    _emit(url, link, output)


def _emit(url: str, link: OneTimeLink, output: Format) -> None:
    whole = {"link": f"{url}{link.path}", "expires_at": link.expires_at}
    if output is not Format.TABLE:
        emit(whole, output, list)
        return
    console().print(safe(whole["link"]), soft_wrap=True)  # in one piece, to copy
    note(f"{_ONCE} It counts until {moment(link.expires_at)}.")
