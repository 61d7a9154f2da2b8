"""What happens to one request: its body is taken in whole, then the statement runs, writes one after the other."""

import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import IO

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.local.warehouse.engine import Engine, Handle, Result
from deploy.local.warehouse.errors import EngineError, exception
from deploy.local.warehouse.protocol import Envelope, Role, inflater, media_type, role_of, settings_of
from deploy.local.warehouse.settings import WarehouseSettings
from deploy.local.warehouse.statement import Statement, parse

_HEAD_BYTES = 1 << 20


def create_app(engine: Engine, settings: WarehouseSettings) -> Starlette:
    """The server. Writes take one lock, first come first served: a fence waits for the insert that is running."""
    writing = asyncio.Lock()

    async def ping(_: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def query(request: Request) -> Response:
        if request.method == "GET" and not request.query_params:
            return PlainTextResponse("Ok.\n")
        envelope = Envelope(request.query_params.get("query_id") or str(uuid.uuid4()), engine.timezone)
        try:
            role = role_of(request.query_params, request.headers, settings)
            return await _Run(engine, writing, request, role, envelope).answer()
        except EngineError as error:
            headers = envelope.headers({"X-ClickHouse-Exception-Code": str(error.code)})
            return PlainTextResponse(f"{error.text}\n", error.status, headers)
        except ClientDisconnect:
            return Response(status_code=499)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        async with writing:
            engine.close()

    routes = [Route("/ping", ping), Route("/", query, methods=["GET", "POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


class _Run:
    """One statement from request to response."""

    def __init__(self, engine: Engine, writing: asyncio.Lock, request: Request, role: Role, envelope: Envelope) -> None:
        self._engine = engine
        self._writing = writing
        self._request = request
        self._role = role
        self._envelope = envelope
        self._started = time.perf_counter_ns()

    async def answer(self) -> Response:
        if self._request.headers.get("content-type", "").startswith("multipart/"):
            raise exception(48, "NOT_IMPLEMENTED", "External data is not taken: send the statement as the body.")
        with tempfile.TemporaryFile(dir=self._engine.spool) as body:
            await self._take_in(body)
            statement = await run_in_threadpool(_read_statement, self._request.query_params.get("query", ""), body)
            if statement.kind in ("select", "show"):
                return await self._read(statement)
            async with self._writing:
                return await run_in_threadpool(self._write, statement, body)

    async def _take_in(self, body: IO[bytes]) -> None:
        """Spools the whole body to an unnamed file: a client that dies half way leaves nothing, and blocks nobody."""
        inflate = inflater(self._request.headers.get("content-encoding"))
        async for piece in self._request.stream():
            body.write(inflate(piece))
        body.flush()

    def _handle(self, statement: Statement) -> Handle:
        """A handle with the request's settings, held to what the asker may do."""
        handle = self._engine.handle()
        params = self._request.query_params
        try:
            settings = settings_of(params)
            handle.prepare(params.get("database"), settings)
            if self._role == "reader":
                handle.restrict_to_reading(statement, settings, self._engine.table_functions)
            elif self._request.method == "GET":
                handle.refuse_writes()
        except BaseException:
            handle.close()
            raise
        return handle

    def _write(self, statement: Statement, body: IO[bytes]) -> Response:
        with self._handle(statement) as handle:
            if statement.kind == "insert":
                result = handle.insert(statement, body)
            else:
                result = handle.run(statement.sql.decode(), statement.format or self._default_format())
        headers = self._envelope.headers({"X-ClickHouse-Summary": self._summary(result)})
        return Response(result.content, headers=headers)

    async def _read(self, statement: Statement) -> Response:
        output = statement.format or self._default_format()
        handle = await run_in_threadpool(self._handle, statement)
        sql = statement.sql.decode()
        if not statement.streamed(output) or self._request.query_params.get("wait_end_of_query") == "1":
            with handle:
                result = await run_in_threadpool(handle.run, sql, output)
            headers = self._result_headers(output, result)
            return Response(result.content, headers=headers, media_type=media_type(output))
        pieces = handle.stream(sql, output)
        try:
            # The first piece is awaited here, so that a query that fails at once gets a proper status.
            first = await run_in_threadpool(next, pieces, b"")
        except BaseException:
            _cancel(pieces, handle)
            raise
        return StreamingResponse(
            self._pieces(first, pieces, handle),
            headers=self._result_headers(output, Result()),
            media_type=media_type(output),
        )

    async def _pieces(self, first: bytes, pieces: Generator[bytes], handle: Handle) -> AsyncIterator[bytes]:
        """Sends a result as it is made; the query is cancelled when the client goes away."""
        try:
            yield first
            while (piece := await run_in_threadpool(next, pieces, None)) is not None:
                yield piece
        except EngineError as error:
            yield self._envelope.late_exception(error)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(_cancel, pieces, handle)

    def _default_format(self) -> str:
        params, headers = self._request.query_params, self._request.headers
        return params.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"

    def _result_headers(self, output: str, result: Result) -> dict[str, str]:
        return self._envelope.headers({"X-ClickHouse-Format": output, "X-ClickHouse-Summary": self._summary(result)})

    def _summary(self, result: Result) -> str:
        counts = {field.name: getattr(result, field.name) for field in fields(result) if field.name != "content"}
        counts["elapsed_ns"] = time.perf_counter_ns() - self._started
        return json.dumps({name: str(value) for name, value in counts.items()})


def _cancel(pieces: Generator[bytes], handle: Handle) -> None:
    pieces.close()
    handle.close()


def _read_statement(in_url: str, body: IO[bytes]) -> Statement:
    """The statement from the URL, the body, or both (the body goes on where the URL ends); leaves `body` at its rows."""
    body.seek(0)
    head = f"{in_url}\n".encode() if in_url else b""
    if head and (statement := parse(head)).kind == "insert":
        return statement
    text = head + body.read(_HEAD_BYTES)
    statement = parse(text)
    if statement.kind == "insert":
        body.seek(statement.data_at - len(head))
        return statement
    return parse(text + body.read())
