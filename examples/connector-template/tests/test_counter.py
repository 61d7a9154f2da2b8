"""The counter owes what every connector owes."""

from collections.abc import Sequence

import pytest
from headrace_counter import CounterSource, opened

from headrace.connector import Connector, Surroundings
from headrace.connector.conformance import Conformance, Row


class Counting:
    """Counts to 30, and to ten more each time."""

    def __init__(self) -> None:
        self._upto = 30

    @property
    def rows(self) -> Sequence[Row]:
        """See `SourceUnderTest.rows`."""
        return [{"number": number, "square": number * number} for number in range(1, self._upto + 1)]

    def connect(self, surroundings: Surroundings) -> Connector:
        """See `SourceUnderTest.connect`."""
        return opened(CounterSource(type="counter", upto=self._upto), surroundings)

    def add(self) -> Sequence[Row]:
        """See `SourceUnderTest.add`."""
        self._upto += 10
        return self.rows[-10:]

    def unreachable(self) -> Connector:
        """See `SourceUnderTest.unreachable`."""
        return opened(CounterSource(type="counter", upto=0), Surroundings("a.b"))


class TestCounter(Conformance):
    @pytest.fixture
    def source(self) -> Counting:
        return Counting()
