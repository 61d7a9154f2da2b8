"""A list of results, which a notebook shows as a table."""

from typing import TypeVar

from headrace.client import html

T = TypeVar("T")


class Items(list[T]):
    """What an answer lists."""

    def _repr_html_(self) -> str:
        return html.table_of(self)
