"""Routes: signing in and out, passwords, sessions, and the links with which somebody sets a password."""

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from headrace.access.book import Caller
from headrace.access.policy import Action
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Administering, Calling, Parts, forbidden, may_answer
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.session_cookie import COOKIE, clear_cookie, of_ours, session_of, set_cookie, whence
from services.gateway.adapters.http.sign_in_page import PAGE_PATH
from services.gateway.adapters.http.users import named
from services.gateway.adapters.one_time_codes import OneTimeCode
from services.gateway.adapters.session_store import Opened, Session

router = APIRouter(prefix=PREFIX, tags=["sign-in"])


def _of_ours(request: Request, gateway: Parts) -> None:
    """Nobody is signed in by a page of others."""
    of_ours(request, gateway)


def _session(request: Request, _: Calling) -> Session:
    found = session_of(request)
    if found is None:
        detail = "this is for whoever has signed in; a bearer token is revoked with DELETE /tokens/{id}"
        raise ProblemError(HTTPStatus.CONFLICT, "no-session", "There is no session", detail)
    return found


InSession = Annotated[Session, Depends(_session)]
OfOurs = Depends(_of_ours)


@router.post(
    "/session",
    summary="Sign in",
    status_code=HTTPStatus.CREATED,
    dependencies=[OfOurs],
    responses=may_answer(HTTPStatus.TOO_MANY_REQUESTS),
)
def sign_in(body: models.SignIn, gateway: Parts, request: Request, response: Response) -> models.WhoAmI:
    """By name and password. The answer sets the cookie of a new session; one that was sent along is worth nothing for it.

    After some failures, of a name or from an address, the next attempt has to wait (429, `Retry-After`): longer each time, never
    for good.
    """
    now, password = datetime.now(UTC), body.password.get_secret_value()
    opened = gateway.sign_in.with_password(body.name, password, now, whence(request))
    return _signed_in(gateway, opened, request, response)


@router.get("/session", summary="Who am I", responses=may_answer())
def who_am_i(gateway: Parts, caller: Calling, request: Request, response: Response) -> models.WhoAmI:
    """Who is calling, what they may do, and for a session its token against forged requests."""
    response.headers["Cache-Control"] = "no-store"
    session = session_of(request)
    return _who(gateway, caller, session, None if session is None else gateway.sign_in.sessions.csrf(session))


@router.delete(
    "/session",
    summary="Sign out",
    status_code=HTTPStatus.NO_CONTENT,
    responses=may_answer(HTTPStatus.CONFLICT),
)
def sign_out(gateway: Parts, session: InSession, response: Response) -> None:
    """End this session, here and now."""
    gateway.sign_in.sessions.end(session.id)
    clear_cookie(response)


@router.get("/sessions", summary="List sessions", responses=may_answer())
def sessions(
    gateway: Parts,
    caller: Calling,
    user: Annotated[
        str | None, Query(max_length=100, description="Whose, by name or id. Those of others: for administrators.")
    ] = None,
    everybody: Annotated[bool, Query(description="Those of everybody. For administrators.")] = False,
) -> models.Sessions:
    """Where you are signed in; for administrators also where others are."""
    whose = caller.principal.id if user is None else named(gateway.access.book, user).id
    if everybody or whose != caller.principal.id:
        _administrator(caller)
    found = gateway.sign_in.sessions.all(datetime.now(UTC), None if everybody else whose)
    return models.Sessions(items=[_shown(gateway, each) for each in found])


@router.delete(
    "/sessions/{session_id}",
    summary="End a session",
    status_code=HTTPStatus.NO_CONTENT,
    responses=may_answer(),
)
def end_session(
    session_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", examples=["9f86d081884c7d65"])],
    gateway: Parts,
    caller: Calling,
) -> None:
    """Sign somebody out: yourself somewhere else, or, for administrators, anybody."""
    of_anybody = caller.access.may_everywhere(Action.ADMIN)
    if not gateway.sign_in.sessions.end(session_id, None if of_anybody else caller.principal.id):
        raise not_found(f"there is no session {session_id}, or it is not yours")


@router.put(
    "/password",
    summary="Change your password",
    status_code=HTTPStatus.NO_CONTENT,
    responses=may_answer(HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS),
)
def change_password(
    body: models.PasswordChange, gateway: Parts, session: InSession, request: Request, response: Response
) -> None:
    """It asks for the old one. All your other sessions end, and this one gets another cookie."""
    old, new = body.old.get_secret_value(), body.new.get_secret_value()
    now, cookie = datetime.now(UTC), request.cookies[COOKIE]
    set_cookie(response, gateway.sign_in.change_password(session, cookie, old, new, now, whence(request)))


@router.post(
    "/setup-link",
    summary="Make the link for the first administrator",
    status_code=HTTPStatus.CREATED,
    responses=may_answer(HTTPStatus.CONFLICT),
)
def setup_link(gateway: Parts, caller: Administering) -> models.OneTimeLink:
    """While nobody administers everything (409 from then on), whoever has the administrator's token makes a link for one use."""
    return _link("setup", gateway.sign_in.offer_setup(caller.name, datetime.now(UTC)))


@router.post(
    "/setup",
    summary="Become the first administrator",
    status_code=HTTPStatus.CREATED,
    dependencies=[OfOurs],
    responses=may_answer(HTTPStatus.CONFLICT),
)
def setup(body: models.Setup, gateway: Parts, request: Request, response: Response) -> models.WhoAmI:
    """With the code of the link, a name and a password. Signs in."""
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    opened = gateway.sign_in.set_up(code, body.name, password, datetime.now(UTC), whence(request))
    return _signed_in(gateway, opened, request, response)


@router.post(
    "/users/{user_id}/reset-link",
    summary="Make a link to set a password",
    status_code=HTTPStatus.CREATED,
    responses=may_answer(HTTPStatus.CONFLICT),
)
def reset_link(
    user_id: Annotated[str, Path(max_length=100, description="Their id, or their name.", examples=["ada"])],
    gateway: Parts,
    caller: Administering,
) -> models.OneTimeLink:
    """For one use, by somebody who has no password yet or has forgotten it. The link that was made before is worth nothing."""
    return _link(
        "password", gateway.sign_in.offer_reset(named(gateway.access.book, user_id).id, caller.name, datetime.now(UTC))
    )


@router.post(
    "/password-reset",
    summary="Set a password with a link",
    status_code=HTTPStatus.CREATED,
    dependencies=[OfOurs],
    responses=may_answer(),
)
def reset_password(body: models.PasswordReset, gateway: Parts, request: Request, response: Response) -> models.WhoAmI:
    """With the code of the link. All former sessions end. Signs in."""
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    opened = gateway.sign_in.reset(code, password, datetime.now(UTC), whence(request))
    return _signed_in(gateway, opened, request, response)


def _signed_in(gateway: Parts, opened: Opened, request: Request, response: Response) -> models.WhoAmI:
    caller = gateway.sign_in.caller(opened.session, datetime.now(UTC))
    if caller is None:  # switched off at this very moment
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "unauthorized", "You are not signed in", "the account is gone")
    request.state.caller = caller  # for the audit
    set_cookie(response, opened.cookie)
    return _who(gateway, caller, opened.session, opened.csrf)


def _who(gateway: Parts, caller: Caller, session: Session | None, csrf: str | None) -> models.WhoAmI:
    principal = caller.principal
    return models.WhoAmI(
        id=principal.id,
        kind=principal.kind,
        name=principal.name,
        email=principal.email,
        groups=list(principal.groups),
        grants=[
            models.OwnGrant(role=grant.role, scope=str(grant.scope), rows=grant.rows, clearance=grant.clearance)
            for grant in caller.access.grants
        ],
        administrator=caller.access.may_everywhere(Action.ADMIN),
        session=None if session is None else _shown(gateway, session),
        csrf=csrf,
    )


def _shown(gateway: Parts, session: Session) -> models.Session:
    whose = gateway.access.book.principals.get(session.principal)
    named = {"user": session.principal, "name": whose.name if whose else ""}
    return models.Session.model_validate(asdict(session) | named)


def _link(purpose: str, made: OneTimeCode) -> models.OneTimeLink:
    """The code stands behind the #: browsers keep that to themselves, so it is in no log."""
    return models.OneTimeLink(path=f"{PAGE_PATH}#{purpose}={made.code}", expires_at=made.expires_at)


def _administrator(caller: Caller) -> None:
    if not caller.access.may_everywhere(Action.ADMIN):
        raise forbidden(f"{caller.name} is not an administrator: only they see the sessions of others")
