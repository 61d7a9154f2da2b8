"""A dataset file names its credentials, and what it says when a credential stands there itself."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from headrace.contract.document import Document
from headrace.contract.problems import problems_of
from headrace.contract.section import Section
from headrace.errors import Fatal, Transient
from headrace.secrets.reference import Credential, name_of, resolved

STORED: Mapping[str, SecretStr] = {"lake.password": SecretStr("hunter2")}
REFERENCES = ["secret://a", "secret://lake.password", "secret://a-1_b.c", "secret://" + "a" * 128]
OTHERS = [
    "hunter2",
    "",
    "a",
    "secret:/a",
    "SECRET://a",
    " secret://a",
    "secret://a ",
    "secret://a\n",
    "secret://",
    "secret://1",
    "secret://Hunter2",
    "secret://a/hunter2",
    "secret://" + "a" * 129,
]


class Lake(Section):
    """A source with a login."""

    type: Literal["lake"]
    user: str
    password: Credential
    token: Credential | None = None


@pytest.mark.parametrize("value", REFERENCES)
def test_a_reference_is_accepted_and_known_by_its_name(value: str) -> None:
    assert name_of(value) == value.removeprefix("secret://")
    assert Lake(type="lake", user="u", password=value).password == value


@pytest.mark.parametrize("value", OTHERS)
def test_anything_else_is_no_reference(value: str) -> None:
    assert name_of(value) is None
    with pytest.raises(ValidationError):
        Lake(type="lake", user="u", password=value)


@given(st.one_of(st.text(), st.from_regex(r"secret://[a-zA-Z0-9_.-]*")))
def test_the_json_schema_that_editors_check_with_says_the_same(value: str) -> None:
    schema = jsonschema_rs.validator_for(Lake.model_json_schema())
    assert schema.is_valid({"type": "lake", "user": "u", "password": value}) == (name_of(value) is not None)


def test_a_reference_becomes_the_secret() -> None:
    assert resolved("secret://lake.password", STORED.__getitem__).get_secret_value() == "hunter2"


def test_a_secret_nobody_has_set_is_named_with_the_command_that_sets_it() -> None:
    with pytest.raises(Fatal, match=r"no secret lake\.token: set it with `headrace secret set lake\.token`"):
        resolved("secret://lake.token", STORED.__getitem__)


def test_a_store_that_cannot_be_reached_is_not_taken_for_a_missing_secret() -> None:
    def find(name: str) -> SecretStr:
        raise Transient("the store is away")

    with pytest.raises(Transient, match="the store is away"):
        resolved("secret://lake.password", find)


def test_a_value_that_is_no_reference_is_not_shown_when_it_is_to_be_resolved() -> None:
    with pytest.raises(Fatal, match="headrace secret set NAME") as raised:
        resolved("hunter2", STORED.__getitem__)
    assert "hunter2" not in shown(raised.value)


@pytest.mark.parametrize("field", ["password", "token"])
@pytest.mark.parametrize(
    "value", ["hunter2", "secret://hunter2/", ["hunter2"], {"value": "hunter2"}, b"hunter2"], ids=repr
)
def test_the_error_of_a_credential_does_not_show_it(field: str, value: Any) -> None:
    settings = {"type": "lake", "user": "u", "password": "secret://a"} | {field: value}
    with pytest.raises(ValidationError) as raised:
        Lake.model_validate(settings)
    error = raised.value
    assert [detail["loc"] for detail in error.errors()] == [(field,)]
    assert "hunter2" not in shown(error) + error.json() + json.dumps(error.errors())


def test_the_control_a_plain_setting_is_shown() -> None:
    with pytest.raises(ValidationError) as raised:
        Lake.model_validate({"type": "lake", "user": ["hunter2"], "password": "secret://a"})
    assert "hunter2" in shown(raised.value)


def test_the_author_of_a_dataset_file_reads_what_to_do_and_no_value() -> None:
    [problem] = problems({"type": "lake", "user": "u", "password": "hunter2"})
    assert problem.startswith("password: found a value that is not shown, expected secret://NAME")
    assert "`headrace secret set NAME`" in problem


@pytest.mark.parametrize(
    "settings",
    [
        {"type": "lake", "password": "hunter2"},
        {"type": "lake", "user": "u", "pasword": "hunter2"},
        {"type": "lake", "user": "u", "password": "hunter2", "token": "hunter2"},
    ],
    ids=["beside a missing setting", "under a misspelt key", "twice"],
)
def test_no_problem_of_a_dataset_file_shows_a_credential(settings: dict[str, Any]) -> None:
    assert "hunter2" not in "".join(problems(settings))


def problems(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as raised:
        Lake.model_validate(settings)
    return [str(problem) for problem in problems_of(raised.value, Document(settings), Lake.model_json_schema())]


def shown(error: BaseException) -> str:
    """All that a log or a report would show of an error and of those behind it."""
    behind = error.__cause__ or error.__context__
    return f"{error} {error!r} {error.args!r} {shown(behind) if behind else ''}"
