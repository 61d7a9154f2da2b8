"""How an answer becomes a value or an error."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from headrace.client.errors import UnexpectedAnswer, kind_of
from headrace.client.items import Items

ResultT = TypeVar("ResultT", bound=BaseModel)


def one(kind: type[ResultT], response: httpx.Response) -> ResultT:
    """The value that an answer is. Errors: UnexpectedAnswer when it is none."""
    return _valid(kind, _json(response), response)


def items(kind: type[ResultT], response: httpx.Response) -> Items[ResultT]:
    """The values that an answer lists. Errors: UnexpectedAnswer when it lists none."""
    return page(kind, response)[0]


def page(kind: type[ResultT], response: httpx.Response) -> tuple[Items[ResultT], str | None]:
    """The values that an answer lists, and the cursor of those that follow. Errors: UnexpectedAnswer."""
    body = _json(response)
    listed = body.get("items") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise _not_ours(response)
    return Items(_valid(kind, item, response) for item in listed), body.get("next_cursor")


def line(kind: type[ResultT], text: str, response: httpx.Response) -> ResultT:
    """The value on a line of an answer. Errors: UnexpectedAnswer."""
    try:
        body = json.loads(text)
    except ValueError as error:
        raise _not_ours(response) from error
    return _valid(kind, body, response)


def checked(response: httpx.Response) -> httpx.Response:
    """The response, when it is a success. Errors: ApiError."""
    if response.is_success:
        return response
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    problems = body.get("problems")
    raise kind_of(response.status_code)(
        status=response.status_code,
        title=str(body.get("title") or response.reason_phrase or f"HTTP {response.status_code}"),
        detail=str(body.get("detail") or ""),
        problems=[p for p in problems if isinstance(p, dict)] if isinstance(problems, list) else (),
        where=f"{response.request.method} {response.request.url.path}",
        type=str(body.get("type") or "about:blank"),
        request_id=str(body.get("request_id") or response.headers.get("X-Request-Id", "")),
        retry_after_s=retry_after_s(response.headers, datetime.now(UTC)),
    )


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long a gateway asks to be left alone: seconds, or until a date. Source: RFC 9110, 10.2.3."""
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now.timestamp())


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise _not_ours(response) from error


def _valid(kind: type[ResultT], body: Any, response: httpx.Response) -> ResultT:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnexpectedAnswer(
            f"The gateway at {_origin(response)} sent a {kind.__name__} this client cannot read ({where}: {first['msg']}). "
            "Compare versions with: headrace version"
        ) from error


def _not_ours(response: httpx.Response) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"{response.url} did not answer like a Headrace gateway. Check the address.")


def _origin(response: httpx.Response) -> str:
    return str(response.url.copy_with(raw_path=b"/")).rstrip("/")
