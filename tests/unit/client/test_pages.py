"""Cursor pages are iterated over as if they were one list."""

import asyncio
from typing import Any

import httpx
import pytest

from headrace.client import ApiError, Dataset
from headrace.client.call import Pages, get
from headrace.client.method import Group, WireT, pages
from tests.unit.client.script import Script, connect, connect_async


class Listing(Group[WireT]):
    """A group whose answers come in pages."""

    @pages
    def all(self, tag: str) -> Pages[Dataset]:
        return get("/listing").asking(tag=tag).pages(Dataset)


def page(*names: str, cursor: str | None = None) -> httpx.Response:
    items: list[dict[str, Any]] = [{"name": name, "version": 1, "generation": 1, "state": "active"} for name in names]
    return httpx.Response(200, json={"items": items, "next_cursor": cursor})


def script() -> Script:
    return Script(page("a", "b", cursor="one"), page(cursor="two"), page("c"))


def test_every_item_of_every_page_comes_once_and_in_order() -> None:
    asked = script()
    with connect(asked) as client:
        assert [each.name for each in Listing(client._wire).all("x")] == ["a", "b", "c"]
    assert [dict(request.url.params) for request in asked.requests] == [
        {"tag": "x"}, {"tag": "x", "cursor": "one"}, {"tag": "x", "cursor": "two"},
    ]  # fmt: skip


def test_the_same_when_awaited() -> None:
    async def ask() -> list[str]:
        async with connect_async(script()) as client:
            return [each.name async for each in Listing(client._wire).all("x")]

    assert asyncio.run(ask()) == ["a", "b", "c"]


def test_a_page_is_asked_for_when_it_is_wanted() -> None:
    asked = script()
    with connect(asked) as client:
        found = Listing(client._wire).all("x")
        assert not asked.requests
        next(found)
        next(found)
        assert len(asked.requests) == 1


def test_a_page_that_fails_ends_the_iteration_with_its_error() -> None:
    with connect(Script(page("a", cursor="one"), httpx.Response(400))) as client:
        found = Listing(client._wire).all("x")
        assert next(found).name == "a"
        with pytest.raises(ApiError):
            next(found)
