"""Sees to it that what is to be audited is: before its handler runs, and when its answer is out.

Which routes are is derived (`is_audited`), and their handlers are wrapped where the app is put together, so that no route can be
left out: one whose beginning cannot be written is not run (503).
"""

import inspect
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from anyio import CancelScope, to_thread
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.access.book import Caller, token_id
from headrace.audit import Entry
from headrace.errors import Transient
from services.gateway.adapters.audit_log import AuditLog
from services.gateway.adapters.http.models.words import Body
from services.gateway.adapters.http.problems import MEDIA_TYPE
from services.gateway.core.auditing import (
    UNSAFE,
    bounded,
    is_audited,
    kept_header,
    kept_parameters,
    outcome_of,
    storable,
)

log = logging.getLogger(__name__)

_MARK: Final = "x-headrace-audited"
#: For `openapi_extra` of a route that changes nothing: reading this is audited, too.
AUDITED_READ: Final[dict[str, Any]] = {_MARK: True}

_WRAPPED: Final = "_audited"
_SIGN_IN: Final = "sign-in"
_OF_DATASETS: Final = ("/api/v1/datasets/{name}", "/api/v1/catalog/{name}")
_MOST_PROBLEM_BYTES: Final = 64 << 10
_TOKEN_ID: Final = re.compile(r"[0-9a-f]{1,32}")


@dataclass(slots=True)
class Act:
    """A request, as the audit tells of it."""

    scope: Scope
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    begun: bool = False
    unwritten: bool = False
    status: int = 0
    noted: dict[str, Any] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)

    @property
    def log(self) -> AuditLog:
        found: AuditLog = self.scope["app"].state.gateway.audit_log
        return found

    @property
    def route(self) -> APIRoute | None:
        found = self.scope.get("route")
        return found if isinstance(found, APIRoute) else None

    def begin(self, values: dict[str, Any]) -> None:
        """Write that the handler is about to run with these arguments. Errors: Transient: it is not to run."""
        try:
            self.log.append(self._entry("begun", "begun", self._asked(values)))
        except Transient as error:
            self.unwritten = True
            raise Transient(f"{error}; what cannot be audited is not done") from error
        self.begun = True

    def require_begun(self) -> None:
        """Errors: RuntimeError for an answer of an audited route whose handler ran unnoticed."""
        if self.route and _audited(self.route) and not self.begun and self.status < HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"what {self.route.path} does is not audited: its handler was not wrapped")

    def end(self, *, whole: bool, error: dict[str, str] | None) -> None:
        """Write how it ended, when it is audited; where that fails, its end stays unknown."""
        self.status = self.status or HTTPStatus.INTERNAL_SERVER_ERROR.value
        route, status = self.route, self.status
        details = ({"noted": self.noted} if self.noted else {}) | ({"error": error} if error else {})
        outcome = outcome_of(status, whole=whole)
        if self.unwritten:
            return
        try:
            if self.begun:
                self.log.append(self._entry("ended", outcome, details))
            elif route is not None and _audited(route):
                self.log.append(self._entry("whole", outcome, self._asked({}) | details))
            elif status == HTTPStatus.UNAUTHORIZED and "authorization" in Headers(scope=self.scope):
                self.log.append(self._entry("whole", outcome, details, _SIGN_IN))
        except Transient:
            log.exception("how an act ended is not in the audit", extra={"act": self.id, "status": self.status})

    def _entry(self, phase: str, outcome: str, details: dict[str, Any], action: str = "") -> Entry:
        headers, route = Headers(scope=self.scope), self.route
        path = route.path if route else ""
        client = self.scope.get("client")
        of_path = [self.scope["path_params"]["name"]] if path.startswith(_OF_DATASETS) else []
        caller: Caller | None = self.scope["state"].get("caller")
        return Entry(
            writer="",
            seq=0,
            prev_hash="",
            hash="",
            id=self.id,
            phase=phase,
            at_us=0,
            actor=storable(caller.name) if caller else "",
            actor_id=caller.principal.id if caller else "",
            credential=_credential(caller, headers.get("authorization", "")),
            action=action or f"{self.scope['method']} {path}",
            datasets=json.dumps(sorted({*of_path, *self.datasets})),
            address=client[0] if client else "",
            user_agent=kept_header(headers.get("user-agent", "")),
            request_id=self.scope["state"].get("request_id", ""),
            status=self.status,
            outcome=outcome,
            details=json.dumps(bounded(to_jsonable_python(details, fallback=repr))),
        )

    def _asked(self, values: dict[str, Any]) -> dict[str, Any]:
        """What was asked for, as far as it may be kept: parameters, and the fields that a body declares."""
        route = self.route
        known = _parameters(route.dependant) if route else set()
        given = {name: str(value) for name, value in self.scope.get("path_params", {}).items()}
        found = {
            "path": kept_parameters(given, given),
            "query": kept_parameters(QueryParams(self.scope["query_string"]), known),
            "body": _declared(values.values()),
            "seen_as": self.scope["state"].get("seen_as"),
        }
        return {part: content for part, content in found.items() if content}


_CURRENT: Final[ContextVar[Act]] = ContextVar("act")


def note(*, datasets: Iterable[str] = (), **details: Any) -> None:
    """Have the audit tell more of the request at hand, if there is one, such as `before` and `after`. Never a secret."""
    act = _CURRENT.get(None)
    if act is not None:
        act.datasets.extend(datasets)
        act.noted.update(details)


def at_hand() -> str:
    """The id of the request at hand, as an act."""
    return _CURRENT.get().id


class Recorded:
    """The layer that ends acts. Inside of the one that gives requests their ids."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        act, ended, problem = Act(scope), False, bytearray()
        is_problem = False

        async def answer(message: Message) -> None:
            nonlocal ended, is_problem
            if message["type"] == "http.response.start":
                act.status = message["status"]
                act.require_begun()
                is_problem = Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE
            elif message["type"] == "http.response.body" and not ended:
                if is_problem and len(problem) < _MOST_PROBLEM_BYTES:
                    problem.extend(message.get("body", b""))
                if not message.get("more_body", False):  # before it is sent: who has the answer finds it in the audit
                    ended = True
                    await _ended(act, _told(bytes(problem)), whole=True)
            await send(message)

        token = _CURRENT.set(act)
        try:
            await self._app(scope, receive, answer)
        except BaseException as error:
            if not ended:
                ended = True
                await _ended(act, {"type": type(error).__name__}, whole=False)
            raise
        finally:
            _CURRENT.reset(token)
            if not ended:
                await _ended(act, None, whole=False)


async def _ended(act: Act, error: dict[str, str] | None, *, whole: bool) -> None:
    with CancelScope(shield=True):  # also when the client has gone, or the gateway stops
        await to_thread.run_sync(lambda: act.end(whole=whole, error=error))


def watch(app: FastAPI) -> None:
    """Wrap the handlers of all routes that are audited; none is to be added later. Errors: TypeError for one that cannot be."""
    for route in iter_route_contexts(app.routes):
        if not isinstance(route.original_route, APIRoute):
            if not UNSAFE.isdisjoint(route.methods or UNSAFE):
                raise TypeError(f"what {route.path} does would not be audited: make it a route of FastAPI")
        elif _audited(route.original_route):
            route.dependant.call = _recorded(route.dependant.call, str(route.path))


def audited_paths(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route whose handler is wrapped."""
    wrapped = (each for each in iter_route_contexts(app.routes) if hasattr(getattr(each, "dependant", None), "call"))
    return {
        (method, str(each.path))
        for each in wrapped
        if hasattr(each.dependant.call, _WRAPPED)
        for method in each.methods or ()
    }


def _audited(route: APIRoute) -> bool:
    return is_audited(route.methods or (), marked=_MARK in (route.openapi_extra or {}))


def _recorded(run: Callable[..., Any], path: str) -> Callable[..., Any]:
    """The handler, behind the writing of what begins."""
    if inspect.isgeneratorfunction(run) or inspect.isasyncgenfunction(run):
        raise TypeError(f"what {path} does would not be audited: let its handler return a StreamingResponse")

    @wraps(run)
    async def in_loop(**values: Any) -> Any:
        await run_in_threadpool(_CURRENT.get().begin, values)
        return await run(**values)

    @wraps(run)
    def in_thread(**values: Any) -> Any:
        _CURRENT.get().begin(values)
        return run(**values)

    wrapped = in_loop if inspect.iscoroutinefunction(run) else in_thread
    setattr(wrapped, _WRAPPED, True)
    return wrapped


def _parameters(dependant: Dependant) -> set[str]:
    """The parameters of the query that a route knows, as they are sent."""
    return {each.alias for each in dependant.query_params}.union(*map(_parameters, dependant.dependencies))


def _declared(values: Iterable[Any]) -> dict[str, Any]:
    """The fields of bodies that may be kept."""
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, Body):
            found |= value.model_dump(mode="json", include=set(value.recorded), exclude_unset=True)
    return found


def _credential(caller: Caller | None, authorization: str) -> str:
    """Which token was used, by its id, also where it is worth nothing."""
    if caller is not None:
        return f"token:{caller.token.id}" if caller.token is not None else ""
    identity = token_id(authorization.partition(" ")[2]) or ""
    return f"token:{identity}" if _TOKEN_ID.fullmatch(identity) else ""


def _told(problem: bytes) -> dict[str, str] | None:
    """What kind of problem was answered. Not its detail, which may repeat what was sent."""
    try:
        body = json.loads(problem) if problem else {}
    except ValueError:
        return None
    return {name: body[name] for name in ("type", "title") if name in body} or None
