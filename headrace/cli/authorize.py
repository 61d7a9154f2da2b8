"""The command that has a person authorize a source in their browser, and keeps what comes of it as a secret: authorize."""

import sys
import webbrowser
from ipaddress import ip_network
from typing import TYPE_CHECKING, Annotated, Final

import httpx
import typer
from pydantic import SecretStr

from headrace.cli.loopback import listening
from headrace.cli.render import Format, Output, emit, note, safe
from headrace.cli.secrets import Name, one_line_end_less
from headrace.cli.session import session_of
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from headrace.connector.oauth import Client, ClientMethod

_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")  # it is the person's own machine that asks, for what the person says
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_NONE: Final[list[str]] = []
_MADE: Final = "it is made anew for each authorization"
#: Parameters of the authorization URL that do not come from --param, and where they do come from.
_OWN: Final = {
    "scope": "use --scope",
    "client_id": "use --client-id",
    "redirect_uri": "use --port",
    "uri": "use --authorization-url",
    "response_type": "it is always `code`",
    **dict.fromkeys(("state", "code_challenge", "code_challenge_method"), _MADE),
}


def authorize(
    context: typer.Context,
    name: Name,
    authorization_url: Annotated[
        str, typer.Option("--authorization-url", help="Where a person agrees.", show_default=False)
    ],
    token_url: Annotated[str, typer.Option("--token-url", help="Where tokens come from.", show_default=False)],
    client_id: Annotated[
        str, typer.Option("--client-id", help="The client, as the server knows it.", show_default=False)
    ],
    scopes: Annotated[
        list[str], typer.Option("--scope", help="What is asked for; may be given again.", show_default=False)
    ] = _NONE,
    parameters: Annotated[
        list[str],
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="More for the authorization URL, such as `access_type=offline`.",
            show_default=False,
        ),
    ] = _NONE,
    confidential: Annotated[
        bool,
        typer.Option("--confidential", help="The client has a secret: you are asked for it, unseen, or pipe it in."),
    ] = False,
    post: Annotated[
        bool, typer.Option("--client-auth-post", help="Send that secret in the body, not as HTTP Basic.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of the redirect, where the server knows but one; 0 takes a free one.")
    ] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the URL in a browser.")] = False,
    patience_s: Annotated[float, typer.Option("--patience", min=1, help="Seconds to wait for you.")] = 300.0,
    output: Output = Format.TABLE,
) -> None:
    """Authorize a source in your browser (OAuth2, authorization code with PKCE), and keep its refresh token as a secret.

    The browser is sent back to http://127.0.0.1:PORT/callback on this machine. No token is shown; `oauth2_refresh_token` of a
    `rest` source names the secret.

    Examples:

        headrace source authorize shop.refresh --authorization-url https://id.x/a --token-url https://id.x/t --client-id app
    """
    from headrace.connector import oauth
    from headrace.connector.http import Http, Limits
    from headrace.connector.targets import Targets
    from headrace.secrets.reference import NAME

    if not NAME.fullmatch(name):
        raise HeadraceError(f"{name}: is no name of a secret, such as shop.refresh.")
    for option, url in (("--authorization-url", authorization_url), ("--token-url", token_url)):
        _check(option, url)
    client = _client(client_id, confidential, "post" if post else "basic")
    http = Http(Targets(tuple(map(ip_network, _EVERYWHERE))), Limits())
    with session_of(context).client() as gateway, listening(port) as callback:
        gateway.secrets.list()  # who may not set one, or where none can be kept, is not sent to the browser first
        authorization = oauth.begun(authorization_url, client.id, callback.uri, scopes, _pairs(parameters))
        callback.belongs = lambda url: oauth.belongs(authorization, url)
        note("Open this in a browser, and agree there:")
        typer.echo(authorization.url, err=True)
        if open_browser:
            webbrowser.open(authorization.url)
        code = oauth.code_of(authorization, callback.wait(patience_s))
        tokens = oauth.exchanged(http, httpx.URL(token_url), client, authorization, code)
        if tokens.refresh is None:
            raise HeadraceError(
                "The server gave no refresh token, so nothing was kept. Many give one for --scope offline_access, others for "
                "--param access_type=offline."
            )
        done = gateway.secrets.set(name, tokens.refresh)
    emit(
        done, output, lambda: [f"[green]✓[/] [bold]{safe(done.name)}[/] version {done.version} holds the refresh token"]
    )


def _check(option: str, url: str) -> None:
    """Errors: HeadraceError for what is no URL, or would carry a code or a token over a network in the clear."""
    try:
        at = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise HeadraceError(f"{option} {url}: is no URL: {error}.") from error
    if not at.host or at.scheme not in ("http", "https"):
        raise HeadraceError(f"{option} {url}: is no URL, such as https://id.example/token.")
    if at.scheme == "http" and at.host not in _LOOPBACK:
        raise HeadraceError(f"{option} {url}: has to be https, or everybody on the way could take what is sent.")


def _pairs(parameters: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in parameters]
    for each, (name, equals, _) in zip(parameters, pairs, strict=True):
        if not name or not equals:
            raise HeadraceError(f"--param {each}: is not written as NAME=VALUE.")
        if name in _OWN:
            raise HeadraceError(f"--param {each}: {name} is not yours to give; {_OWN[name]}.")
    return {name: value for name, _, value in pairs}


def _client(client_id: str, confidential: bool, method: "ClientMethod") -> "Client":
    """Who asks, with the secret that is typed or piped in."""
    from headrace.connector.oauth import Client

    if not confidential:
        return Client(client_id)
    if sys.stdin.isatty():
        value: str = typer.prompt("Secret of the client", hide_input=True, err=True)
    else:
        value = one_line_end_less(sys.stdin.read())
    if not value:
        raise HeadraceError("The client's secret is empty. Pipe it in, or leave out --confidential.")
    return Client(client_id, SecretStr(value), method)
