"""HTTP push: the routes, and what a request to each must look like."""

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from headrace.connector.protocol import no_secrets
from services.ingest.connectors.http_push.access import Access, MaySend, Secrets, no_accounts
from services.ingest.connectors.http_push.continuous import Frames, acknowledgement, frame_of, lines, settled
from services.ingest.connectors.http_push.desk import Answer, Desk
from services.ingest.connectors.http_push.encoding import Measure, unpacker
from services.ingest.connectors.http_push.intake import Intake, absent
from services.ingest.connectors.http_push.problem import MEDIA_TYPE, Problem, too_large
from services.ingest.connectors.http_push.push_body import CONTENT_TYPES
from services.ingest.connectors.http_push.rate import Rates
from services.ingest.connectors.http_push.settings import HttpPushSource
from services.ingest.connectors.http_push.signature import Unsigned, verify

_MOST_KEY_CHARACTERS: Final = 256
_MOST_REASON_BYTES: Final = 123  # of a close frame, RFC 6455
_PRIVATE_CODES: Final = 4000  # RFC 6455 leaves the codes from here to applications
_PRODUCER: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
_NDJSON: Final = "application/x-ndjson"

Producer = Annotated[
    str | None, Query(pattern=_PRODUCER, description="Names who sends: what it has sent before is not written again.")
]


def create_app(
    desk: Desk,
    token: SecretStr | None,
    *,
    max_body_bytes: int,
    timeout_s: float,
    secret: Callable[[str], SecretStr] = no_secrets,
    may_send: MaySend = no_accounts,
    clock: Callable[[], float] = time.monotonic,
    now_s: Callable[[], float] = time.time,
) -> FastAPI:
    """The application that `docs/sources/push.md` describes. `secret` gives a credential; LookupError when nobody has set it."""
    app = FastAPI(title="Headrace ingest", version="1", docs_url=None, redoc_url=None)
    access = Access(token, Secrets(secret, clock), may_send)
    intake = Intake(desk, access, Rates(clock), max_body_bytes, timeout_s)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        body = {**error.body, "instance": request.url.path}
        return JSONResponse(body, error.status, error.headers, MEDIA_TYPE)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await problem(
            request, Problem(422, "The request is not valid", str(error.errors()[0]["msg"]), "Correct it.")
        )

    @app.post(
        "/v1/datasets/{name}/rows",
        status_code=202,
        responses=_problems(400, 401, 404, 409, 413, 415, 422, 429, 503),
        openapi_extra=_takes(*CONTENT_TYPES),
    )
    async def push_rows(
        name: str,
        request: Request,
        authorization: Annotated[str | None, Header()] = None,
        content_encoding: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        """Append rows. 202 means that they are durable, each of them written or set aside.

        A CloudEvent in binary mode has any content type, and its attributes in `ce-` headers.
        """
        source = await intake.allowed(name, authorization)
        intake.rate(name, source).check()
        packing = unpacker(content_encoding) if content_encoding else None
        key = _key(idempotency_key)
        body = await _body(request, intake.most_bytes(source))
        return _told(name, await intake.take(name, source, body, request.headers, packing, key))

    @app.post(
        "/v1/datasets/{name}/webhook",
        status_code=202,
        responses=_problems(400, 401, 404, 409, 413, 415, 422, 429, 503),
        openapi_extra=_takes("application/json", _NDJSON),
    )
    async def call_webhook(
        name: str,
        request: Request,
        content_encoding: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> dict[str, Any]:
        """Append the rows of a request that is signed as `source.webhook` of the dataset says; it needs no token."""
        source = desk.source(name)
        if source is None or source.webhook is None:
            raise absent(desk, name) if desk.knows(name) is None else _no_webhook(name)
        intake.rate(name, source).check()
        packing = unpacker(content_encoding) if content_encoding else None
        body = await _body(request, intake.most_bytes(source))
        secret = await access.webhook_secret(source.webhook.secret)
        try:
            verify(source.webhook, request.headers, body, secret.get_secret_value().encode(), now_s())
        except Unsigned as error:
            raise Problem(401, "Not authorised", str(error), "Sign the body as it is sent, with the secret.") from error
        delivery = request.headers.get(source.webhook.key_header) if source.webhook.key_header else None
        key = _key(idempotency_key if delivery is None else delivery)
        return _told(name, await intake.take(name, source, body, request.headers, packing, key))

    @app.post(
        "/v1/datasets/{name}/stream",
        status_code=200,
        response_class=Acknowledgements,
        responses=_problems(400, 401, 404, 413, 415, 422, 503),
        openapi_extra=_takes(_NDJSON),
    )
    async def stream_rows(
        name: str,
        request: Request,
        producer: Producer = None,
        first: Annotated[int, Query(ge=0, lt=1 << 62, description="The number of a producer's first line.")] = 1,
        authorization: Annotated[str | None, Header()] = None,
        content_type: Annotated[str | None, Header()] = None,
        content_encoding: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Append rows for as long as lines come: each line of the answer says through which line they are durable."""
        source = await intake.allowed(name, authorization)
        kind = (content_type or "").partition(";")[0].strip().lower()
        if CONTENT_TYPES.get(kind) != "ndjson":
            detail = f"Content-Type is {kind or 'missing'}"
            raise Problem(415, "Unsupported media type", detail, f"Send {_NDJSON}: a row a line.")
        packing = unpacker(content_encoding, streamed=True)
        await intake.open(name, producer is not None)
        incoming = lines(
            request.stream(),
            packing,
            Measure(None, source.limits.max_ratio),
            intake.most_bytes(source),
            first if producer is not None else None,
        )

        async def write(group: Frames) -> Answer:
            return await intake.write(name, authorization, producer, group)

        return Acknowledgements(_acknowledged(settled(incoming, write)))

    @app.websocket("/v1/datasets/{name}/stream")
    async def socket(name: str, websocket: WebSocket, producer: Producer = None) -> None:
        """The same over a WebSocket: a frame is a row or an array of rows, perhaps behind a number and a blank."""
        await websocket.accept()
        authorization = websocket.headers.get("authorization")

        async def write(group: Frames) -> Answer:
            return await intake.write(name, authorization, producer, group)

        with suppress(WebSocketDisconnect):
            try:
                source = await intake.allowed(name, authorization)
                await intake.open(name, producer is not None)
                if producer is not None:
                    await websocket.send_json({"producer": producer, "last": await intake.last(name, producer)})
                incoming = _frames(websocket, source, intake.most_bytes(source), producer is not None)
                async with aclosing(settled(incoming, write)) as groups:
                    async for group, answer in groups:
                        await websocket.send_json(acknowledgement(group, answer, "frame"))
            except Problem as error:
                await websocket.send_json({"problem": error.body})
                await websocket.close(_PRIVATE_CODES + error.status, _reason(error))

    @app.get("/v1/datasets/{name}/producers/{producer}", responses=_problems(401, 404, 503))
    async def last_number(
        name: str, producer: str, authorization: Annotated[str | None, Header()] = None
    ) -> dict[str, Any]:
        """The last number of a named producer whose rows are durable; null when none are, or not for a week."""
        await intake.allowed(name, authorization)
        return {"dataset": name, "producer": producer, "last": await intake.last(name, producer)}

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics")
    async def scrape() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


class Acknowledgements(Response):
    """Lines of JSON that are sent while the request's body is still read.

    Starlette's own streaming response listens for the end of the connection, and would take the body's parts for itself.
    """

    media_type = _NDJSON

    def __init__(self, told: AsyncIterator[bytes]) -> None:
        self._told = told
        self.status_code = 200
        self.background = None
        self.init_headers({"Connection": "close"})  # when it ends early, nobody reads the rest of the body
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `Response`."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for line in self._told:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _acknowledged(groups: AsyncIterator[tuple[Frames, Answer]]) -> AsyncIterator[bytes]:
    """What a producer is told; a problem is the last line."""
    with suppress(ClientDisconnect):
        try:
            async for group, answer in groups:
                yield _line(acknowledgement(group, answer, "line"))
        except Problem as error:
            yield _line({"problem": error.body})


async def _frames(
    websocket: WebSocket, source: HttpPushSource, most_bytes: int, numbered: bool
) -> AsyncIterator[Frames]:
    """The frames of a connection until it ends. Errors: Problem."""
    through, before = 0, -1
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        text: str | None = message.get("text")
        if text is None:
            raise Problem(415, "Unsupported frame", "the frame is binary", "Send rows as text frames.")
        if len(text) > most_bytes:
            raise too_large(f"the frame is over limits.max_body_bytes, {most_bytes} bytes")
        number, rows = frame_of(text, source.limits.rows_per_request)
        if numbered and number is None:
            detail = "a frame of a named producer has no number"
            raise Problem(400, "Unreadable frame", detail, 'Send it as `17 {"id": 1}`.')
        if numbered and number is not None and number <= before:
            detail = f"the number {number} follows {before}"
            raise Problem(422, "Numbers do not grow", detail, "Give each frame a larger number than the one before.")
        through, before = through + 1, before if number is None else number
        yield Frames(through, [rows], [] if number is None else [number])


def _told(name: str, answer: Answer) -> dict[str, Any]:
    return {
        "dataset": name,
        "accepted": answer.accepted,
        "quarantined": answer.quarantined,
        "repeated": answer.repeated,
    }


def _key(given: str | None) -> str | None:
    if given is not None and not 0 < len(given) <= _MOST_KEY_CHARACTERS:
        detail = f"the Idempotency-Key has {len(given)} characters"
        raise Problem(400, "Unusable key", detail, f"Send 1 to {_MOST_KEY_CHARACTERS} characters, a UUID for example.")
    return given


async def _body(request: Request, most_bytes: int) -> bytes:
    """The whole body as it is sent, given up as soon as it is too large."""
    declared = request.headers.get("content-length", "0")
    body = bytearray()
    if not declared.isdigit() or int(declared) <= most_bytes:
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                break
        else:
            return bytes(body)
    raise too_large(f"the body is over limits.max_body_bytes, {most_bytes} bytes")


def _no_webhook(name: str) -> Problem:
    return Problem(
        404,
        "No such webhook",
        f"no dataset {name!r} takes webhooks here",
        "Give its source `webhook` in the dataset file.",
    )


def _reason(error: Problem) -> str:
    """What a close frame has room for."""
    return str(error).encode()[:_MOST_REASON_BYTES].decode(errors="ignore")


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


_MEANINGS: Final = {
    400: "the body is not of its format; nothing of it was taken",
    401: "no token or a wrong one; a signature that is wrong or too old",
    404: "no such dataset takes pushes",
    409: "the rows cannot be written under the dataset's schema",
    413: "over a limit of the dataset, which is named",
    415: "unknown content type or encoding",
    422: "the Idempotency-Key was accepted with another body, or a parameter is wrong",
    429: "more rows or bytes a second than the dataset takes; send it again after Retry-After",
    503: "not written, or not known to be; send it again after Retry-After",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers that are problems, for OpenAPI."""
    content: dict[str, Any] = {MEDIA_TYPE: {"schema": {"type": "object"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


def _takes(*content_types: str) -> dict[str, Any]:
    """A body of these content types, for OpenAPI."""
    return {"requestBody": {"required": True, "content": {kind: {} for kind in content_types}}}
