"""HTTP push: what a request must look like, and what each outcome is answered with."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr

from headrace.errors import HeadraceError, Transient
from services.ingest.connectors.http_push.desk import Answer, Desk, KeyReused, Push
from services.ingest.connectors.http_push.push_body import CONTENT_TYPES, Unreadable

log = logging.getLogger(__name__)

_RETRY_AFTER_S: Final = 2
_APPEARS_S: Final = 2.0  # ingest sees a dataset that was applied within half a second
_LOOK_S: Final = 0.05
_MOST_KEY_CHARACTERS: Final = 256


class Problem(Exception):  # RFC 9457's word
    """An answer that is not 2xx. `next_step` says what the caller can do."""

    def __init__(
        self, status: int, title: str, detail: str, next_step: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "next": next_step}


def create_app(desk: Desk, token: SecretStr | None, *, max_body_bytes: int, timeout_s: float) -> FastAPI:
    """The application that `docs/ingest.md` describes."""
    app = FastAPI(title="Headrace ingest", version="1", docs_url=None, redoc_url=None)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        body = {**error.body, "instance": request.url.path}
        return JSONResponse(body, error.status, error.headers, "application/problem+json")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await problem(
            request, Problem(422, "The request is not valid", str(error.errors()[0]["msg"]), "Correct it.")
        )

    @app.post("/v1/datasets/{name}/rows", status_code=202)
    async def push_rows(
        name: str,
        request: Request,
        authorization: Annotated[str | None, Header()] = None,
        content_type: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        """Append rows. 202 means that they are durable, each of them written or set aside."""
        _authorise(authorization, token)
        form, key = _form(content_type, request), _key(idempotency_key)
        await _known(desk, name, key is not None)
        push = Push(await _body(request, max_body_bytes), form, key)
        answer = await _answer(desk, name, push, timeout_s)
        return {
            "dataset": name,
            "accepted": answer.accepted,
            "quarantined": answer.quarantined,
            "repeated": answer.repeated,
        }

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def scrape() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def _authorise(authorization: str | None, token: SecretStr | None) -> None:
    scheme, _, given = (authorization or "").partition(" ")
    if token is None:
        raise Problem(401, "Not authorised", "this ingest has no push token", "Set HEADRACE_PUSH_TOKEN and restart it.")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise Problem(
            401,
            "Not authorised",
            "the bearer token is missing or wrong",
            "Send the push token as `Authorization: Bearer ...`.",
            {"WWW-Authenticate": "Bearer"},
        )


def _form(content_type: str | None, request: Request) -> str:
    kind = (content_type or "").partition(";")[0].strip().lower()
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "Unsupported encoding", "the body is compressed", "Send it as it is.")
    if kind not in CONTENT_TYPES:
        known = ", ".join(CONTENT_TYPES)
        raise Problem(415, "Unsupported media type", f"Content-Type is {kind or 'missing'}", f"Send one of {known}.")
    return CONTENT_TYPES[kind]


def _key(given: str | None) -> str | None:
    if given is not None and not 0 < len(given) <= _MOST_KEY_CHARACTERS:
        detail = f"the Idempotency-Key has {len(given)} characters"
        raise Problem(400, "Unusable key", detail, f"Send 1 to {_MOST_KEY_CHARACTERS} characters, a UUID for example.")
    return given


async def _body(request: Request, most_bytes: int) -> bytes:
    """The whole body, given up as soon as it is too large."""
    declared = request.headers.get("content-length", "0")
    body = bytearray()
    if not declared.isdigit() or int(declared) <= most_bytes:
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                break
        else:
            return bytes(body)
    raise Problem(413, "Body too large", f"the body is over {most_bytes} bytes", "Send the rows in several requests.")


async def _known(desk: Desk, name: str, keyed: bool) -> None:
    """Wait a little for a dataset that may have been applied just now, or be between two versions."""
    deadline = time.monotonic() + _APPEARS_S
    while not desk.takes(name, keyed):
        if time.monotonic() > deadline:
            raise _absent(desk, name)
        await asyncio.sleep(_LOOK_S)


def _absent(desk: Desk, name: str) -> Problem:
    """Why a dataset takes no pushes. Who is told 404 may give its rows up: it is said only when there is no such dataset."""
    if (known := desk.knows(name)) is None:
        return _later("ingest has just started and does not know yet which datasets there are")
    if known:
        return _later(f"nobody writes the rows of {name} at the moment: `headrace status {name}` tells why")
    return Problem(
        404,
        "No such dataset",
        f"no dataset {name!r} takes pushes here",
        "Apply it with `source: {type: http_push}`.",
    )


async def _answer(desk: Desk, name: str, push: Push, timeout_s: float) -> Answer:
    try:
        waiting = asyncio.wrap_future(desk.hand_in(name, push))
        return await asyncio.wait_for(asyncio.shield(waiting), timeout_s)
    except KeyError:
        raise _absent(desk, name) from None
    except KeyReused as error:
        raise Problem(422, "Idempotency-Key reused", str(error), "Use a new key for a new body.") from error
    except Unreadable as error:
        raise Problem(400, "Unreadable body", str(error), "Correct the body; nothing of it was taken.") from error
    except (Transient, TimeoutError) as error:
        raise _later(str(error) or f"no commit in {timeout_s:g} s; the rows may still be written") from error
    except HeadraceError as error:
        raise Problem(409, "Refused", str(error), "Correct the rows or the dataset file.") from error


def _later(why: str) -> Problem:
    next_step = "Send it again; with an Idempotency-Key nothing is written twice."
    return Problem(503, "Not written", why, next_step, {"Retry-After": str(_RETRY_AFTER_S)})
