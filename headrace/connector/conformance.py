"""What every connector owes, as tests: a package that brings one runs them against its own source.

    class TestMine(Conformance):
        @pytest.fixture
        def source(self, tmp_path: Path) -> SourceUnderTest: ...

Beside each guarantee stands its control: without a position, everything is read again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Protocol

import pyarrow as pa

from headrace.connector.protocol import Connector, Fetched, Surroundings
from headrace.connector.targets import Targets

MOST_ROWS = 7
"""The size of a step the source is asked for: small, so that few rows make many steps."""

LOOPBACK = Targets((ip_network("127.0.0.0/8"), ip_network("::1/128")))
"""Where the sources of tests are."""

Row = Mapping[str, Any]


class SourceUnderTest(Protocol):
    """A source with known rows. It holds at least 20, which stay; `add` appends more where a source can have more."""

    @property
    def rows(self) -> Sequence[Row]:
        """Every row, in the order in which it is read."""
        ...

    def connect(self, surroundings: Surroundings) -> Connector:
        """A connector of its own, as another process would have it."""
        ...

    def add(self) -> Sequence[Row]:
        """Let the source have more rows. Returns those; nothing when it can have no more."""
        ...

    def unreachable(self) -> Connector:
        """A connector of a source that is not there."""
        ...


class Conformance:
    """Needs a fixture `source`, new for each test."""

    def test_a_source_that_is_there_passes_every_check(self, source: SourceUnderTest) -> None:
        steps = list(connect(source).check())
        assert steps
        assert [step for step in steps if not step.ok] == []

    def test_a_source_that_is_not_there_fails_a_check_that_says_what_to_correct(self, source: SourceUnderTest) -> None:
        steps = list(source.unreachable().check())
        assert [step.ok for step in steps] == [True] * (len(steps) - 1) + [False], "it stops at the first that fails"
        assert steps[-1].message
        assert (steps[-1].field or "").startswith("source."), "the setting at fault is named"

    def test_what_is_offered_is_what_is_read(self, source: SourceUnderTest) -> None:
        (stream,) = connect(source).discover()
        (schema,) = {fetched.rows.schema for fetched, _ in connect(source).read(None)}
        assert stream.schema.names == schema.names
        assert set(stream.keys) | set(stream.cursors) <= set(schema.names)

    def test_every_row_is_read_once_in_order(self, source: SourceUnderTest) -> None:
        assert rows_of(connect(source).read(None)) == list(source.rows)

    def test_steps_are_bounded(self, source: SourceUnderTest) -> None:
        sizes = [fetched.rows_read for fetched, _ in connect(source).read(None)]
        assert max(sizes) <= MOST_ROWS
        assert len(sizes) > 1

    def test_after_any_step_another_process_reads_on_with_the_next_row(self, source: SourceUnderTest) -> None:
        steps = list(connect(source).read(None))
        for number, (fetched, position) in enumerate(steps, start=1):
            schema = fetched.rows.schema
            rest = rows_of(connect(source, schema).read(position))
            assert [*rows_of(iter(steps[:number])), *rest] == list(source.rows), f"after step {number}"

    def test_at_its_end_it_gives_nothing(self, source: SourceUnderTest) -> None:
        connector = connect(source)
        *_, (_, position) = connector.read(None)
        assert rows_of(connector.read(position)) == []
        assert not connector.waiting

    def test_the_control_without_a_position_everything_is_read_again(self, source: SourceUnderTest) -> None:
        *_, (_, position) = connect(source).read(None)
        assert rows_of(connect(source).read(position)) == []
        assert rows_of(connect(source).read(None)) == list(source.rows)

    def test_what_is_added_is_read_next(self, source: SourceUnderTest) -> None:
        *_, (fetched, position) = connect(source).read(None)
        added = source.add()
        assert rows_of(connect(source, fetched.rows.schema).read(position)) == list(added)

    def test_a_position_is_json(self, source: SourceUnderTest) -> None:
        for _, position in connect(source).read(None):
            json.loads(position)


def connect(source: SourceUnderTest, schema: pa.Schema | None = None) -> Connector:
    """A connector as ingest opens it; `schema` is that of rows published before."""
    surroundings = Surroundings("conformance.rows", schema, batch_rows=MOST_ROWS, settle_s=0.0, targets=LOOPBACK)
    return source.connect(surroundings)


def rows_of(steps: Iterator[tuple[Fetched, str]]) -> list[Row]:
    """The rows of all steps, none of which sets a row aside."""
    found: list[Row] = []
    for fetched, _ in steps:
        assert fetched.rejected == ()
        found.extend(fetched.rows.to_pylist())
    return found
