"""What a call to a gateway is, before anything is sent: a request, and what its answer is read into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, SecretStr

from headrace.client import answers
from headrace.client.items import Items

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `template` is the route as the API's description has it, below `/api/v1`; `changes`: it is a write.

    Of `params` and `body` a member that is None is not sent.
    """

    method: str
    template: str
    parts: Mapping[str, object]
    changes: bool
    params: Mapping[str, Any] | None = None
    body: Mapping[str, Any] | None = None
    timeout_s: float | None = None
    headers: Mapping[str, str] | None = None

    @property
    def path(self) -> str:
        """The template with its parts in it, whatever characters a user typed."""
        return self.template.format_map({name: quote(str(part), safe="") for name, part in self.parts.items()})

    def asking(self, **params: Any) -> "Request":
        """With these query parameters."""
        return replace(self, params=_given(params))

    def asking_more(self, **params: Any) -> "Request":
        """With these query parameters besides those it has."""
        return replace(self, params={**(self.params or {}), **_given(params)})

    def with_body(self, **members: Any) -> "Request":
        """With a JSON object as its body."""
        return replace(self, body=_given(members))

    def sending(self, **headers: str) -> "Request":
        """With these headers besides those it has; an underscore stands for a hyphen."""
        added = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**(self.headers or {}), **added})

    def within(self, timeout_s: float) -> "Request":
        """It may take longer than others: so long between two pieces of its answer."""
        return replace(self, timeout_s=timeout_s)

    def one(self, kind: type[ResultT]) -> "Call[ResultT]":
        """Its answer is a value."""
        return Call(self, lambda response: answers.one(kind, response))

    def items(self, kind: type[ResultT]) -> "Call[Items[ResultT]]":
        """Its answer lists values, as `items`."""
        return Call(self, lambda response: answers.items(kind, response))

    def nothing(self) -> "Call[None]":
        """Its answer has no content."""
        return Call(self, lambda _: None)

    def lines(self, kind: type[ResultT]) -> "Lines[ResultT]":
        """Its answer has a value on each line, and is read as it comes."""
        return Lines(self, kind)

    def pieces(self, kind: type[T]) -> "Pieces[T]":
        """Its answer is a file: `bytes`, or `str` in pieces of text."""
        return Pieces(self, kind)

    def pages(self, kind: type[ResultT]) -> "Pages[ResultT]":
        """Its answer lists values, as `items`, and as `next_cursor` says how to ask for those that follow."""
        return Pages(self, kind)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request whose answer is read once it is whole."""

    request: Request
    read: Callable[[httpx.Response], T]


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """A request whose answer is read line by line."""

    request: Request
    kind: type[T]


@dataclass(frozen=True, slots=True)
class Pieces(Generic[T]):
    """A request whose answer is a file, read as it comes: bytes, or text where `kind` says so."""

    request: Request
    kind: type[T]


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A request that is made again and again, with the `cursor` of the answer before."""

    request: Request
    kind: type[T]


def get(template: str, **parts: object) -> Request:
    """A read."""
    return Request("GET", template, parts, changes=False)


def ask(template: str, **parts: object) -> Request:
    """A read whose question is too long for an address: a POST that changes nothing."""
    return Request("POST", template, parts, changes=False)


def post(template: str, **parts: object) -> Request:
    """A write."""
    return Request("POST", template, parts, changes=True)


def put(template: str, **parts: object) -> Request:
    """A write of a whole thing."""
    return Request("PUT", template, parts, changes=True)


def patch(template: str, **parts: object) -> Request:
    """A write of a part of a thing."""
    return Request("PATCH", template, parts, changes=True)


def delete(template: str, **parts: object) -> Request:
    """A write that takes a thing away."""
    return Request("DELETE", template, parts, changes=True)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _sent(value) for name, value in members.items() if value is not None}


def _sent(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case SecretStr():
            return value.get_secret_value()
        case tuple() | set() | frozenset():
            return list(value)
    return value
