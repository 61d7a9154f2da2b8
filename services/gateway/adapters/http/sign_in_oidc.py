"""Routes: sign in at an OpenID provider. A browser opens them; both answer with where it goes on."""

import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, may_answer
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.adapters.http.recording import AUDITED_READ, note_refusal
from services.gateway.adapters.http.session_cookie import set_cookie, whence
from services.gateway.adapters.http.sign_in_page import PAGE_PATH
from services.gateway.core.oidc import RefusedSignInError
from services.gateway.gateway import Gateway
from services.gateway.oidc_sign_in import PATIENCE, OidcSignIn

log = logging.getLogger(__name__)

router = APIRouter(prefix=PREFIX, tags=["sign-in"])

COOKIE: Final = "__Host-headrace-sign-in"
START: Final = f"{PREFIX}/sign-in/oidc"
CALLBACK: Final = f"{START}/callback"
SIGN_OUT: Final = f"{START}/sign-out"
_FORBIDDEN: Final = ("sign-in-inactive", "sign-in-not-admitted")
#: The answer of the provider is in the address of the page: it goes to no other, and into no cache.
_HEADERS: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_NOT_SET: Final = "no OpenID provider is set for this gateway (HEADRACE_OIDC_ISSUER, docs/sign-in-with-oidc.md)"
_ELSEWHERE: Final[dict[int | str, dict[str, Any]]] = {
    HTTPStatus.SEE_OTHER.value: {"description": "Go on there.", "content": {}}
}


@router.get("/sign-in", summary="How to sign in", responses=may_answer())
def ways(gateway: Parts) -> models.WaysToSignIn:
    """By name and password always; at a provider when one is set. For whoever wants to, before they have."""
    if gateway.oidc is None:
        return models.WaysToSignIn(provider=None)
    issuer = gateway.oidc.provider.settings.issuer
    return models.WaysToSignIn(provider=models.SignInProvider(issuer=issuer, sign_in=START, sign_out=SIGN_OUT))


@router.get(
    "/sign-in/oidc",
    summary="Sign in at the OpenID provider",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=Response,
    responses=_ELSEWHERE | may_answer(HTTPStatus.CONFLICT),
)
def start(
    gateway: Parts,
    request: Request,
    after: Annotated[
        str | None, Query(description="The path of this gateway to go to afterwards.", examples=["/datasets"])
    ] = None,
) -> Response:
    """Send the browser to the provider. It has ten minutes to come back."""
    begun = _oidc(gateway).begin(after, request.cookies.get(COOKIE))
    response = RedirectResponse(begun.url, HTTPStatus.SEE_OTHER, _HEADERS)
    response.set_cookie(
        COOKIE,
        begun.browser.get_secret_value(),
        max_age=int(PATIENCE.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",  # the provider sends the browser back: a request that begins at another site
    )
    return response


@router.get(
    "/sign-in/oidc/callback",
    summary="Come back from the OpenID provider",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=Response,
    responses=_ELSEWHERE | may_answer(HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT),
    openapi_extra=AUDITED_READ,  # it is a GET, as browsers are sent to it, and signs somebody in all the same
)
def callback(gateway: Parts, request: Request) -> Response:
    """End the sign-in with what the provider says: opens a session. The provider sends browsers here.

    What stands against it is a problem, for a person with a browser on the page of sign-in.
    """
    try:
        signed_in = _oidc(gateway).finish(request.url.query, request.cookies.get(COOKIE, ""))
    except RefusedSignInError as error:
        log.warning("a sign-in at the provider was refused: %s", error, extra={"code": error.code})
        note_refusal(error.code)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(f"{PAGE_PATH}#refused={error.code}", HTTPStatus.SEE_OTHER, _HEADERS)
        status = HTTPStatus.FORBIDDEN if error.code in _FORBIDDEN else HTTPStatus.BAD_REQUEST
        raise ProblemError(status, error.code, "Nobody was signed in", str(error)) from error
    now = datetime.now(UTC)
    opened = gateway.sign_in.sessions.open(signed_in.principal_id, now, whence(request))
    request.state.caller = gateway.sign_in.caller(opened.session, now)  # for the audit
    response = RedirectResponse(signed_in.after, HTTPStatus.SEE_OTHER, _HEADERS)
    set_cookie(response, opened.cookie)
    return response


@router.get(
    "/sign-in/oidc/sign-out",
    summary="Sign out at the OpenID provider",
    status_code=HTTPStatus.SEE_OTHER,
    response_class=Response,
    responses=_ELSEWHERE | may_answer(HTTPStatus.CONFLICT),
)
def sign_out(gateway: Parts) -> Response:
    """Send the browser where its session at the provider ends, too; the one here ends with DELETE /session."""
    oidc = _oidc(gateway)
    url = oidc.provider.sign_out_url(f"{gateway.public_url}{PAGE_PATH}")
    if url is None:
        raise not_found(f"{oidc.provider.settings.issuer} has no page on which one signs out")
    return RedirectResponse(url, HTTPStatus.SEE_OTHER, _HEADERS)


def _oidc(gateway: Gateway) -> OidcSignIn:
    if gateway.oidc is None:
        raise not_found(_NOT_SET)
    return gateway.oidc
