"""What happens to every request: it gets an id, its body is bounded, its answer is counted."""

import logging
import re
import secrets
import time
from http import HTTPStatus
from typing import Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.adapters.http import problems
from services.gateway.metrics import REQUEST_SECONDS, REQUESTS

log = logging.getLogger(__name__)

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_BODY_BYTES: Final = 2 << 20


class Requests:
    """The outermost layer of the app. A request id that comes with a request is kept, if it looks like one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status: int | None = None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = scope["state"].get("headers", ())
                message["headers"] = [*message.get("headers", ()), *more, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, _bounded(receive), answer)
        except Exception as error:
            if status is None:
                await problems.bug(Request(scope), error)(scope, receive, answer)
            else:
                log.exception("an answer broke off", extra={"request_id": request_id})
                raise
        finally:
            route = scope.get("route")
            path = route.path if isinstance(route, APIRoute) else "other"
            method = scope["method"] if path != "other" else "other"
            REQUESTS.labels(method, path, status or HTTPStatus.INTERNAL_SERVER_ERROR).inc()
            REQUEST_SECONDS.labels(method, path).observe(time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return secrets.token_hex(8)


def _bounded(receive: Receive) -> Receive:
    """Refuse a body over the cap while it arrives: it is read before anyone asks who sent it."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _MOST_BODY_BYTES:
            raise HTTPException(413, f"the body is over {_MOST_BODY_BYTES} bytes")
        return message

    return bounded
