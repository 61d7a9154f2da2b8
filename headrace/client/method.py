"""How a description becomes a method of both clients: `Client` returns what it comes to, `AsyncClient` something to await.

    class Datasets(Group[WireT]):
        @call
        def ledger(self, dataset: str) -> Call[Ledger]:
            return get("/datasets/{name}/ledger", name=dataset).one(Ledger)

`client.datasets.ledger("nyc.flights")` is a `Ledger` of a `Client`, and a coroutine of one of an `AsyncClient`: the type of the
group's wire decides, for the type checker as well as when it runs. A description uses nothing of `self`.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial, update_wrapper
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeVar, get_args, overload

from headrace.client.call import Call, Lines, Pages, Pieces
from headrace.client.flow import Flow
from headrace.client.wire import AsyncWire, Wire

P = ParamSpec("P")
T = TypeVar("T")
DescribedT = TypeVar("DescribedT")
WireT = TypeVar("WireT", bound=Wire | AsyncWire)


class Group(Generic[WireT]):
    """Calls that belong together."""

    def __init__(self, wire: WireT) -> None:
        self._wire: Final = wire

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of the gateway at {self._wire.url}>"


class _Method(Generic[P, DescribedT]):
    """A method of a group. `describe` gives what it would do, `act` is the name of what the wire does with that."""

    def __init__(self, describe: Callable[Concatenate[Any, P], DescribedT], act: str) -> None:
        self.describe: Callable[P, DescribedT] = partial(describe, None)
        self._act: Final = act
        update_wrapper(self, describe)  # type: ignore[arg-type] # it lends its name and text
        shown = inspect.signature(describe)
        parameters = list(shown.parameters.values())[1:]
        results = get_args(shown.return_annotation)
        self._shown = shown.replace(parameters=parameters, return_annotation=results[-1] if results else Any)

    def _bound(self, group: Group[Any]) -> Callable[..., Any]:
        act = getattr(group._wire, self._act)

        def method(*args: Any, **kwargs: Any) -> Any:
            return act(self.describe(*args, **kwargs))

        update_wrapper(method, self)  # type: ignore[arg-type]
        method.__signature__ = self._shown  # type: ignore[attr-defined] # what a notebook shows
        return method


class One(_Method[P, DescribedT], Generic[P, DescribedT, T]):
    """A method that comes to one value, which an `AsyncClient` awaits. See `call`, `flow`."""

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group[Wire], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[AsyncWire], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, group: Group[Any] | None, owner: type) -> Any:
        return self if group is None else self._bound(group)


class Many(_Method[P, DescribedT], Generic[P, DescribedT, T]):
    """A method that is iterated over, in an `AsyncClient` by `async for`. See `lines`, `pieces`, `pages`."""

    @overload
    def __get__(self, group: None, owner: type) -> Self: ...
    @overload
    def __get__(self, group: Group[Wire], owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[AsyncWire], owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Group[Any] | None, owner: type) -> Any:
        return self if group is None else self._bound(group)


def call(describe: Callable[Concatenate[Any, P], Call[T]]) -> One[P, Call[T], T]:
    """A method that makes one request."""
    return One(describe, "run")


def lines(describe: Callable[Concatenate[Any, P], Lines[T]]) -> Many[P, Lines[T], T]:
    """A method whose answer is iterated over line by line, as it comes."""
    return Many(describe, "lines")


def pieces(describe: Callable[Concatenate[Any, P], Pieces[T]]) -> Many[P, Pieces[T], T]:
    """A method whose answer is a file, iterated over piece by piece as it comes."""
    return Many(describe, "pieces")


def pages(describe: Callable[Concatenate[Any, P], Pages[T]]) -> Many[P, Pages[T], T]:
    """A method whose answers are iterated over item by item, page after page."""
    return Many(describe, "pages")


def flow(describe: Callable[Concatenate[Any, P], Flow[T]]) -> One[P, Flow[T], T]:
    """A method that takes several steps, such as waiting for something."""
    return One(describe, "drive")
