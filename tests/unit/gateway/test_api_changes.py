"""Which changes of the API break clients, and which do not."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.gateway.adapters.http.app import create_app
from services.gateway.core.api_changes import breaches, essence
from services.gateway.openapi import BASELINE

Change = Callable[[dict[str, Any]], object]
ROOT = Path(__file__).resolve().parents[3]

API: dict[str, Any] = {
    "paths": {
        "/things/{name}": {
            "get": {
                "parameters": [
                    {"in": "path", "name": "name", "required": True, "schema": {"type": "string", "maxLength": 9}},
                    {"in": "query", "name": "limit", "schema": {"anyOf": [{"type": "integer", "maximum": 5}, {"type": "null"}]}},
                ],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
                    "404": {"description": "There is none."},
                },
            },
            "put": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewThing"}}}},
                "responses": {"201": {}},
            },
        }
    },
    "components": {
        "schemas": {
            "Thing": {
                "type": "object",
                "required": ["name", "state", "size", "parts"],
                "properties": {
                    "name": {"type": "string", "description": "How it is called."},
                    "state": {"type": "string", "enum": ["on", "off"]},
                    "size": {"type": "integer"},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            },
            "NewThing": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "state": {"type": "string", "enum": ["on", "off"]},
                    "size": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
                    "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
        }
    },
}  # fmt: skip


def get(api: dict[str, Any]) -> Any:
    return api["paths"]["/things/{name}"]["get"]


def put(api: dict[str, Any]) -> Any:
    return api["paths"]["/things/{name}"]["put"]


def thing(api: dict[str, Any]) -> Any:
    return api["components"]["schemas"]["Thing"]


def sent(api: dict[str, Any]) -> Any:
    return api["components"]["schemas"]["NewThing"]["properties"]


BREAKING: dict[str, tuple[Change, str]] = {
    "a path is gone": (lambda api: api["paths"].clear(), "GET /things/{name}: is gone"),
    "an operation is gone": (lambda api: api["paths"]["/things/{name}"].pop("put"), "PUT /things/{name}: is gone"),
    "a parameter is gone": (lambda api: get(api)["parameters"].pop(), "query limit: is no longer taken"),
    "a parameter is new and required": (
        lambda api: get(api)["parameters"].append({"in": "query", "name": "by", "required": True, "schema": {}}),
        "query by: is new and required",
    ),
    "a parameter becomes required": (
        lambda api: get(api)["parameters"][1].update(required=True), "query limit: is required"
    ),
    "a parameter takes less": (
        lambda api: get(api)["parameters"][1]["schema"]["anyOf"][0].update(maximum=4), "maximum was 5, is 4"
    ),
    "a parameter no longer takes null": (
        lambda api: get(api)["parameters"][1]["schema"]["anyOf"].pop(), "query limit: was null, is integer"
    ),
    "a parameter gets a pattern": (
        lambda api: get(api)["parameters"][0]["schema"].update(pattern="^a"), "pattern was none, is ^a"
    ),
    "the body is required": (lambda api: put(api)["requestBody"].update(required=True), "body: is required"),
    "the body is no longer taken": (lambda api: put(api).pop("requestBody"), "body: is no longer taken"),
    "a member of the body is required": (
        lambda api: api["components"]["schemas"]["NewThing"].update(required=["size"]), "body.size: is required"
    ),
    "a member of the body is gone": (lambda api: sent(api).pop("tags"), "body.tags: is no longer taken"),
    "a member of the body has another type": (
        lambda api: sent(api)["state"].update(type="integer"), "body.state: was string, is integer"
    ),
    "a value is no longer taken": (lambda api: sent(api)["state"]["enum"].pop(), "body.state: no longer takes off"),
    "fractions are no longer taken": (
        lambda api: sent(api)["size"]["anyOf"][0].update(type="integer"), "body.size: was integer or number, is integer"
    ),
    "members of any name have another type": (
        lambda api: sent(api)["tags"].update(additionalProperties={"type": "integer"}), "body.tags.*: was string"
    ),
    "an answer is gone": (lambda api: get(api)["responses"].pop("200"), "200: is no longer answered"),
    "an answer has another form": (
        lambda api: get(api)["responses"]["200"].update(content={"text/csv": {}}), "application/json is gone"
    ),
    "a member of the answer is gone": (
        lambda api: thing(api)["properties"].pop("size"), "200.size: is no longer there"
    ),
    "a member of the answer may be missing": (
        lambda api: thing(api)["required"].remove("size"), "200.size: may be missing"
    ),
    "a member of the answer may be null": (
        lambda api: thing(api)["properties"].update(size={"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        "200.size: was integer, is null",
    ),
    "a member of the answer has another type": (
        lambda api: thing(api)["properties"]["parts"].update(items={"type": "string"}), "200.parts[]: was object"
    ),
}  # fmt: skip

HARMLESS: dict[str, Change] = {
    "another path": lambda api: api["paths"].update({"/others": {"get": {"responses": {}}}}),
    "another parameter": lambda api: get(api)["parameters"].append({"in": "query", "name": "by", "schema": {}}),
    "a parameter takes more": lambda api: get(api)["parameters"][0]["schema"].update(maxLength=10),
    "another member of the body": lambda api: sent(api).update(more={"type": "string"}),
    "another value is taken": lambda api: sent(api)["state"]["enum"].append("idle"),
    "null is taken": lambda api: sent(api).update(state={"anyOf": [copy.deepcopy(sent(api)["state"]), {"type": "null"}]}),
    "any member is taken": lambda api: api["components"]["schemas"]["NewThing"].update(additionalProperties=True),
    "another member of the answer": lambda api: thing(api)["properties"].update(more={"type": "string"}),
    "another value in the answer": lambda api: thing(api)["properties"]["state"]["enum"].append("idle"),
    "a member of the answer is a kind of what it was": lambda api: thing(api)["properties"]["size"].update(minimum=0),
    "another error": lambda api: get(api)["responses"].pop("404"),
    "other words": lambda api: thing(api)["properties"]["name"].update(description="Its name."),
    "a schema by another name": lambda api: (
        api["components"]["schemas"].update(Item=thing(api)),
        get(api)["responses"]["200"]["content"]["application/json"]["schema"].update({"$ref": "#/components/schemas/Item"}),
    ),
}  # fmt: skip


def changed(change: Change) -> dict[str, Any]:
    api = copy.deepcopy(API)
    change(api)
    return api


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_clients_is_found_and_named(name: str) -> None:
    change, said = BREAKING[name]
    assert said in "\n".join(map(str, breaches(API, changed(change))))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_nobody_is_let_be(name: str) -> None:
    assert breaches(API, changed(HARMLESS[name])) == []


def test_the_words_of_a_description_do_not_matter_and_members_that_are_called_like_them_do() -> None:
    described = {"properties": {"title": {"type": "string", "title": "Title"}}, "description": "x"}
    assert essence(described) == {"properties": {"title": {"type": "string"}}}
    assert breaches(API, essence(API)) == []
    assert breaches(essence(API), API) == []


def test_the_real_description_breaks_nobody_and_would_be_found_to() -> None:
    document = create_app().openapi()
    assert breaches(document, document) == []
    baseline = json.loads((ROOT / BASELINE).read_text())
    for schema in baseline["components"]["schemas"].values():
        schema.get("properties", {})["of_yore"] = {"type": "string"}
    found = breaches(baseline, document)
    assert any("200" in each.where and each.what == "is no longer there" for each in found)
    assert any("body" in each.where and each.what == "is no longer taken" for each in found)
