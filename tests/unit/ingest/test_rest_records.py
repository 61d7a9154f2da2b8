"""A record of an API is written as a line exactly as it came, also on the fast way that plain numbers allow."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connector.http import Answer, Signature
from services.ingest.connectors.rest.records import Document, document, line_of
from services.ingest.core.json_text import json_text

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def read(text: str) -> Document:
    """The document of an answer."""
    return document(Answer(200, httpx.Headers(), text.encode(), httpx.URL("http://api.example/rows")), Signature())


@given(_VALUES)
def test_both_ways_write_the_same(value: Any) -> None:
    found = read(json.dumps(value))
    assert line_of(found.value, found.plain) == line_of(found.value, plain=False)


@pytest.mark.parametrize("number", ["0.10", "1e2", "1E-7", "-0.00", "123456789.123456789", "1e999", "NaN", "-Infinity"])
def test_a_number_keeps_its_text(number: str) -> None:
    found = read(f'{{"n":{number}}}')
    assert line_of(found.value, found.plain) == f'{{"n":{number}}}'.encode()
    assert not found.plain


@pytest.mark.parametrize("text", ['{"n":0.5}', '{"n":12,"m":[1e-07]}', '{"é":"\\"\\n"}'])
def test_plain_numbers_are_known_for_such(text: str) -> None:
    found = read(text)
    assert found.plain
    assert json_text(found.value) == text


def test_the_fast_way_alone_would_lose_digits() -> None:
    """The control of the tests above."""
    assert line_of(read('{"n":0.10}').value, plain=True) == b'{"n":0.1}'


def test_a_field_given_twice_is_still_there_twice() -> None:
    found = read('{"a":1,"a":2}')
    assert line_of(found.value, found.plain) == b'{"a":1,"a":2}'
