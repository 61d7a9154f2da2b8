"""The client that is awaited does what the other does: the same answers, the same errors, the same retries."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from headrace.client import AsyncClient, Client, Ledger, NotFound, UnexpectedAnswer, Unreachable
from headrace.client.method import Group
from headrace.errors import HeadraceError
from tests.unit.client.script import Answer, Script, connect, connect_async, ledger

LISTED = {"name": "nyc.flights", "version": 3, "generation": 1, "state": "active"}


def test_a_call_is_awaited() -> None:
    script = Script(httpx.Response(503), httpx.Response(200, json={"items": [LISTED]}))

    async def ask() -> list[str]:
        async with connect_async(script) as client:
            return [each.name for each in await client.datasets.list()]

    assert asyncio.run(ask()) == ["nyc.flights"]
    assert [request.headers["Authorization"] for request in script.requests] == ["Bearer s3cret"] * 2


def test_calls_run_at_the_same_time() -> None:
    both = asyncio.Barrier(2)

    async def answer(request: httpx.Request) -> httpx.Response:
        await both.wait()  # neither is answered before the other was sent
        return httpx.Response(200, json={"dataset": request.url.path.split("/")[-2], "settled": True})

    async def ask() -> list[str]:
        async with connect_async(answer) as client:
            asked = asyncio.gather(*(client.datasets.ledger(name) for name in ("a.b", "c.d")))
            return [each.dataset for each in await asyncio.wait_for(asked, 30)]

    assert asyncio.run(ask()) == ["a.b", "c.d"]


def test_an_answer_comes_line_by_line() -> None:
    script = Script(httpx.Response(200, text='{"part": "step", "name": "reach"}\n{"part": "end", "ok": true}\n'))

    async def ask() -> list[str]:
        async with connect_async(script) as client:
            return [part.part async for part in client.sources.check("source: {}")]

    assert asyncio.run(ask()) == ["step", "end"]


ENDS: Mapping[str, tuple[Callable[[], Answer], type[HeadraceError]]] = {
    "refused": (lambda: httpx.Response(404, json={"title": "No", "detail": "no such"}), NotFound),
    "away": (lambda: httpx.ConnectError("refused"), Unreachable),
    "slow": (lambda: httpx.ReadTimeout("slow"), Unreachable),
    "another program": (lambda: httpx.Response(200, text="<html>"), UnexpectedAnswer),
}


@pytest.mark.parametrize("end", ENDS)
def test_both_clients_end_in_the_same_error(end: str) -> None:
    answer, error = ENDS[end]

    async def ask() -> Any:
        async with connect_async(Script(answer()), retries=1) as client:
            return await client.datasets.ledger("nyc.flights")

    with pytest.raises(error) as awaited:
        asyncio.run(ask())
    with pytest.raises(error) as waited, connect(Script(answer()), retries=1) as client:
        client.datasets.ledger("nyc.flights")
    assert (str(awaited.value), type(awaited.value)) == (str(waited.value), type(waited.value))


def test_waiting_lets_others_run() -> None:
    script = Script(ledger(False, read=2, in_flight=2), ledger(True, read=2, loaded=2))
    others: list[str] = []

    async def other() -> None:
        others.append("ran")

    async def ask() -> Ledger:
        async with connect_async(script) as client:
            alongside = asyncio.create_task(other())
            books = await client.datasets.wait_settled("nyc.flights", 30, poll_s=0)
            await alongside
            return books

    assert asyncio.run(ask()).loaded == 2
    assert others == ["ran"]


def groups(client: Any) -> dict[str, Group[Any]]:
    return {name: each for name, each in vars(client).items() if isinstance(each, Group)}


def test_what_a_notebook_shows_of_a_call_is_its_own() -> None:
    with Client("http://gateway.test") as client:
        shown = inspect.signature(client.datasets.ledger)
        assert str(shown) == "(dataset: str) -> headrace.client.results.books.Ledger"
        assert inspect.getdoc(client.datasets.ledger) == "Where every row of a dataset went."
        assert client.datasets.ledger.__name__ == "ledger"
        assert repr(client.datasets) == "<Datasets of the gateway at http://gateway.test>"
        assert groups(client).keys() == groups(AsyncClient("http://gateway.test")).keys()
