"""From text to a contract, or to everything that is wrong with the text."""

from typing import Any

from pydantic import ValidationError

from headrace.contract.document import Document, read
from headrace.contract.model import Contract
from headrace.contract.problems import problems_of
from headrace.contract.source import LOOKING
from headrace.contract.transform_tests import SeparateTests
from headrace.errors import ContractError, Problem


def load(text: str, origin: str = "<text>") -> Contract:
    """The contract a dataset file describes. Errors: ContractError with every problem of the file, in its order."""
    document = read(text, origin)
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else f"the single value {document.value!r:.60}"
        place = document.marks[()]
        expected = "a mapping of settings that begins with dataset: domain.name"
        raise ContractError([Problem(place.line, place.column, "", kind, expected)], origin)
    return _validated(document, origin)


def validated(value: Any, origin: str = "<document>", *, looking: bool = False) -> Contract:
    """The contract that plain values describe. Errors: ContractError, whose problems have a path but no line.

    When somebody is only `looking` at a source, it need not say yet which of what it offers is wanted.
    """
    return _validated(Document(value), origin, looking=looking)


def load_with_tests(text: str, origin: str, tests: str, tests_origin: str) -> Contract:
    """The contract of a dataset file whose tests are in a file beside it.

    Errors: ContractError with the problems of the dataset file, or else with those of the file of tests.
    """
    load(text, origin)
    dataset, beside = read(text, origin), read(tests, tests_origin)
    try:
        SeparateTests.model_validate(beside.value)
    except ValidationError as error:
        schema = SeparateTests.model_json_schema(by_alias=True)
        raise ContractError([*beside.problems, *problems_of(error, beside, schema)], tests_origin) from None
    if "tests" in dataset.value:
        place = beside.marks[("tests",)]
        problem = Problem(place.line, place.column, "tests", f"tests here and in {origin}", "them in one of the two")
        raise ContractError([problem], tests_origin)
    both = Document({**dataset.value, "tests": beside.value["tests"]}, beside.marks, beside.problems)
    return _validated(both, tests_origin)


def _validated(document: Document, origin: str, *, looking: bool = False) -> Contract:
    try:
        contract = Contract.model_validate(document.value, context={LOOKING: looking})
    except ValidationError as error:
        schema = Contract.model_json_schema(by_alias=True)
        raise ContractError([*document.problems, *problems_of(error, document, schema)], origin) from None
    if document.problems:
        raise ContractError(document.problems, origin)
    return contract
