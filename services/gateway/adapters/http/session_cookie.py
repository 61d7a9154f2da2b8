"""Decides whether a request with the cookie of a session counts: whose it is, and that one of our own pages sent it."""

from datetime import datetime
from http import HTTPStatus
from typing import Final

from fastapi import Request, Response
from fastapi.security import APIKeyCookie

from headrace.access.book import Caller
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.adapters.session_store import Session, Whence
from services.gateway.core.forgery import SAFE_METHODS, foreign
from services.gateway.gateway import Gateway

COOKIE: Final = "__Host-headrace"
CSRF_HEADER: Final = "X-CSRF-Token"
SCHEME: Final = APIKeyCookie(
    name=COOKIE,
    scheme_name="Session",
    auto_error=False,
    description=f"What a browser has after POST /session. Whatever changes something needs the header {CSRF_HEADER} too.",
)


def signed_in(request: Request, gateway: Gateway, cookie: str | None, now: datetime) -> Caller | None:
    """Who is signed in with this cookie; None when nobody. The session itself is then in `request.state.session`.

    Errors: ProblemError when another page than ours could have sent it; Transient when what they may do is not known yet.
    """
    sign_in = gateway.sign_in
    session = None if cookie is None else sign_in.sessions.of(cookie, now)
    caller = None if session is None else sign_in.caller(session, now)
    if cookie is None or session is None or caller is None:
        return None
    if request.method not in SAFE_METHODS:
        of_ours(request, gateway, said=True)
        if not sign_in.sessions.shows(session, request.headers.get(CSRF_HEADER, "")):
            raise _forged(f"the header {CSRF_HEADER} does not show the token of this session, which GET /session tells")
    request.state.session = session
    if renewed := sign_in.renewed(session, cookie, caller, now):
        request.state.headers = [(b"set-cookie", _set_cookie(renewed))]
    return caller


def session_of(request: Request) -> Session | None:
    """The session a request was sent in; None when it came with a bearer token."""
    found: Session | None = getattr(request.state, "session", None)
    return found


def of_ours(request: Request, gateway: Gateway, *, said: bool = False) -> None:
    """Go on only if a page of ours sent it, or no browser. `said`: only if a browser says so. Errors: ProblemError."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if said and origin is None and site is None:
        raise _forged("it has neither Origin nor Sec-Fetch-Site, which every browser sends: scripts use a bearer token")
    ours = () if gateway.public_url is None else (gateway.public_url,)
    if why := foreign(origin, site, request.headers.get("host", ""), ours):
        raise _forged(f"{why}; behind a proxy that changes the Host header, set HEADRACE_GATEWAY_PUBLIC_URL")


def whence(request: Request) -> Whence:
    """From where a request comes."""
    address = request.client.host if request.client else ""
    return Whence(address, request.headers.get("user-agent", ""), request.cookies.get(COOKIE, ""))


def set_cookie(response: Response, value: str) -> None:
    """Give a browser the cookie of a session. It is gone with the browser; how long it counts is decided here, not there."""
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(COOKIE, value, secure=True, httponly=True, samesite="lax", path="/")


def clear_cookie(response: Response) -> None:
    """Take it away again."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax", path="/")


def _set_cookie(value: str) -> bytes:
    response = Response()
    set_cookie(response, value)
    return response.headers["set-cookie"].encode()


def _forged(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.FORBIDDEN, "forged-request", "Another page may have sent this", detail)
