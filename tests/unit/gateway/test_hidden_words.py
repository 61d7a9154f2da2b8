"""What the engine says of a query that failed is not told to who sees a part, by exports and samples as by queries."""

from collections.abc import Callable, Generator
from typing import Any, cast

import pytest

from headrace.access.policy import Sight
from services.gateway.adapters.export_source import ExportSource, _telling
from services.gateway.adapters.sampler import sampled
from services.gateway.adapters.warehouse import Answer, QueryError, Warehouse
from services.gateway.core.exports import Table, Wanted, plan

WORDS = "Code: 6. DB::Exception: Cannot parse string 'secret' as Int32: tenant = 'a'. (CANNOT_PARSE_TEXT)"
PART = Sight(rows=("(toInt32(name) = 1)",))
TABLE = Table("`nyc`.`flights`", {"name": "String"})


class Failing:
    """A warehouse that knows the columns, and fails on the rows."""

    def query(self, sql: str, *_: Any, **__: Any) -> Answer:
        if "system.columns" in sql:
            return Answer([("name", "String")], [["name"]], False, 1.0)
        raise QueryError(WORDS, 6)

    def stream(self, *_: Any) -> Generator[bytes]:
        yield b"x"
        raise QueryError(WORDS, None)


def exporting() -> ExportSource:
    return ExportSource(cast(Warehouse, Failing()), cast(Any, None))


def exported(sight: Sight) -> None:
    made = plan(TABLE, Wanted("nyc.flights", "csv"), sight)
    b"".join(_telling(made, Failing().stream()))


def counted(sight: Sight) -> None:
    exporting().count(plan(TABLE, Wanted("nyc.flights", "csv"), sight))


def looked_at(sight: Sight) -> None:
    sampled(cast(Warehouse, Failing()), "nyc.flights", sight, 1)


@pytest.mark.parametrize("ask", [exported, counted, looked_at])
def test_a_value_in_the_engines_words_is_not_told_to_who_sees_a_part(ask: Callable[[Sight], None]) -> None:
    with pytest.raises(QueryError) as failed:
        ask(PART)
    assert str(failed.value).startswith("CANNOT_PARSE_TEXT")
    assert "secret" not in str(failed.value)
    assert "tenant" not in str(failed.value)
    with pytest.raises(QueryError, match="secret"):  # the control: who sees everything is told
        ask(Sight())
