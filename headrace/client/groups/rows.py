"""Calls about single rows: their passports, and tests made of them."""

from collections.abc import Iterable
from typing import Final

from headrace.client.call import Call, ask, get
from headrace.client.method import Group, WireT, call
from headrace.client.results import MadeTest, Passport, Passports

_TRACING_S: Final = 90.0  # each row's record is looked for in several topics


class Rows(Group[WireT]):
    """Single rows."""

    @call
    def passport(self, dataset: str, row_id: str, contributors: int = 5) -> Call[Passport]:
        """What a raw record was and what became of it; `row_id` is its partition:offset, as rows of the table carry it.

        Of a record that a model made: also how many, and the first `contributors`, rows of each dataset it was made of.
        """
        request = get("/datasets/{name}/rows/{row_id}/passport", name=dataset, row_id=row_id)
        return request.asking(contributors=contributors).within(_TRACING_S).one(Passport)

    @call
    def passports(self, dataset: str, where: str, limit: int = 5, contributors: int = 5) -> Call[Passports]:
        """The passports of the rows of a dataset's table that meet a condition. `contributors`: see `passport`."""
        request = ask("/datasets/{name}/rows/passport", name=dataset)
        return request.with_body(where=where, limit=limit, contributors=contributors).within(_TRACING_S).one(Passports)

    @call
    def as_test(self, dataset: str, row_id: str, clear: Iterable[str] = ()) -> Call[MadeTest]:
        """A test of what the live version makes of a raw record; the columns in `clear` get no stand-ins."""
        request = get("/datasets/{name}/rows/{row_id}/test", name=dataset, row_id=row_id)
        return request.asking(clear=tuple(clear)).within(_TRACING_S).one(MadeTest)
