"""The API, the client and the command line have the same calls: a route without them fails here, and a call without a route."""

import ast
import inspect
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Union, Unpack, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, SecretStr

from headrace.client import Client
from headrace.client.call import Call, Lines, Pages, Pieces, Request
from headrace.client.method import Group
from services.gateway.adapters.http.app import create_app

PREFIX: Final = "/api/v1"
CLI: Final = Path(__file__).resolve().parents[2] / "headrace" / "cli"

#: Of no use to a client, and why.
NOT_CALLED: Final = {
    ("GET", "/healthz"): "for probes, without a token",
    ("GET", "/metrics"): "for Prometheus",
    **dict.fromkeys(
        (
            ("POST", f"{PREFIX}/session"),
            ("GET", f"{PREFIX}/session"),
            ("DELETE", f"{PREFIX}/session"),
            ("GET", f"{PREFIX}/sessions"),
            ("DELETE", f"{PREFIX}/sessions/{{session_id}}"),
            ("PUT", f"{PREFIX}/password"),
            ("POST", f"{PREFIX}/password-reset"),
            ("POST", f"{PREFIX}/setup"),
            ("GET", f"{PREFIX}/sign-in"),
            ("GET", f"{PREFIX}/sign-in/oidc"),
            ("GET", f"{PREFIX}/sign-in/oidc/callback"),
            ("GET", f"{PREFIX}/sign-in/oidc/sign-out"),
        ),
        "for browsers, in which people sign in: a client has a token",
    ),
}
#: Reached by the command line in another way.
NOT_BY_NAME: Final = {
    "quarantine.outcome": "asked by `quarantine.wait`",
    "catalog.search": "a terminal shows one page: `catalog.page`",
    "exports.rows": "with what the file says of itself: `headrace.client.downloads`",
    "exports.file": "with what the file says of itself: `headrace.client.downloads`",
}
#: Members of a result that another call answers with, or the command line.
NOT_ANSWERED: Final = {"datasets.list: Dataset.document", "datasets.plan: Plan.tests_passed"}

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """A call of the client, made with a value for every argument."""

    name: str
    request: Request
    kind: Any  # of its answer
    paged: bool

    @property
    def operation(self) -> tuple[str, str]:
        return self.request.method, PREFIX + self.request.template


def described(group: Group[Any], path: str = "") -> Iterator[Described]:
    """The calls of a group, and of those in it."""
    for name, method in inspect.getmembers(type(group), lambda each: hasattr(each, "describe")):
        annotation = inspect.signature(method.__wrapped__).return_annotation
        form = get_origin(annotation)
        if form in (Call, Lines, Pages, Pieces):  # a flow makes calls, and is none
            made = method.describe(**arguments(method.__wrapped__))
            yield Described(f"{path}{name}", made.request, get_args(annotation)[0], form is Pages)
    for name, inner in vars(group).items():
        if isinstance(inner, Group):
            yield from described(inner, f"{name}.")


def arguments(function: Any) -> dict[str, Any]:
    """A value for each parameter of a description."""
    found: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            assert get_origin(parameter.annotation) is Unpack
            (members,) = get_args(parameter.annotation)
            found |= {member: value(hint) for member, hint in get_type_hints(members).items()}
        else:
            found[name] = value(parameter.annotation)
    return found


def value(annotation: Any) -> Any:
    """Something of a type."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return value(next(each for each in inside if each is not type(None)))
    if origin is Literal:
        return inside[0]
    if origin in (Sequence, Iterable, tuple):
        return [value(inside[0])]
    if origin is Mapping:
        return {"x": "y"}
    if annotation is Any:
        return "x"
    some = {str: "x", int: 1, bool: True, datetime: datetime(2026, 1, 2, tzinfo=UTC), SecretStr: SecretStr("x")}
    return some[annotation]


@pytest.fixture(scope="module")
def document() -> Document:
    return create_app().openapi()


@pytest.fixture(scope="module")
def calls() -> list[Described]:
    with Client("http://gateway.test") as client:
        return list(described(client))


def operations(document: Document) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def uncalled(document: Document, calls: Iterable[Described]) -> set[tuple[str, str]]:
    """Operations without a call."""
    return operations(document) - {call.operation for call in calls} - NOT_CALLED.keys()


def unreached(calls: Iterable[Described], source: str) -> set[str]:
    """Calls that a program never makes."""
    used = {
        ast.unparse(node).split(".", 1)[1] for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Attribute) and "(" not in ast.unparse(node)
    }  # fmt: skip
    return {call.name for call in calls} - used - NOT_BY_NAME.keys()


def test_every_operation_has_a_call_of_the_client(document: Document, calls: list[Described]) -> None:
    assert uncalled(document, calls) == set()
    assert NOT_CALLED.keys() <= operations(document)


def test_every_call_is_an_operation(document: Document, calls: list[Described]) -> None:
    assert {call.operation for call in calls} - operations(document) == set()


def test_every_call_is_made_by_a_command(calls: list[Described]) -> None:
    source = "\n".join(file.read_text() for file in sorted(CLI.glob("*.py")))
    assert unreached(calls, source) == set()
    assert NOT_BY_NAME.keys() <= {call.name for call in calls}


def test_a_route_without_a_call_and_a_call_without_a_command_are_found(calls: list[Described]) -> None:
    """The negative control."""
    known = calls[0]
    method, path = known.operation
    more: Document = {"paths": {path: {method.lower(): {}}, f"{PREFIX}/new": {"get": {}}}}
    assert uncalled(more, calls) == {("GET", f"{PREFIX}/new")}
    assert unreached([known], f"client.{known.name}(1)") == set()
    assert unreached([known], f"client.{known.name}_more(1); other()") == {known.name}


def test_what_a_call_sends_is_what_the_operation_takes(document: Document, calls: list[Described]) -> None:
    wrong = [fault for call in calls for fault in faults_of(call, document)]
    assert wrong == []


def faults_of(call: Described, document: Document) -> Iterator[str]:
    method, path = call.operation
    operation = document["paths"][path][method.lower()]
    asked = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    yield from (f"{call.name}: {name} is no parameter" for name in (call.request.params or {}).keys() - asked)
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is None:
        assert call.request.body is None, call.name
        return
    schema = resolved(document, body)
    sent = (call.request.body or {}).keys()
    yield from (f"{call.name}: {name} is no member of the body" for name in sent - schema["properties"].keys())
    yield from (f"{call.name}: {name} is not sent" for name in set(schema.get("required", ())) - sent)


def test_what_a_call_reads_is_what_the_operation_answers(document: Document, calls: list[Described]) -> None:
    wrong = [fault for call in calls for fault in unread(call, document)]
    assert wrong == []


def unread(call: Described, document: Document) -> Iterator[str]:
    """Members that the client expects and the API does not describe; only where the answer is one value or a list of them."""
    method, path = call.operation
    answers = document["paths"][path][method.lower()]["responses"]
    content = next(answer.get("content", {}) for status, answer in answers.items() if status.startswith("2"))
    if call.kind is type(None):
        assert not content, call.name
        return
    if call.kind in (bytes, str):  # a file
        return
    schema = resolved(document, next(iter(content.values()))["schema"])
    kind = call.kind
    if inside := get_args(kind):  # Items[...]
        (kind,) = inside
    if inside or call.paged:
        schema = resolved(document, schema["properties"]["items"]["items"])
    assert issubclass(kind, BaseModel)
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    unknown = {f"{call.name}: {kind.__name__}.{name}" for name in fields.keys() - schema["properties"].keys()}
    yield from (f"{each} is not answered" for each in sorted(unknown - NOT_ANSWERED))
    always = set(schema.get("required", ()))
    wanted = {name for name, field in fields.items() if field.is_required()}
    yield from (f"{call.name}: {kind.__name__}.{name} may be missing" for name in wanted - always)


def resolved(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema
