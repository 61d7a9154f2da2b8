"""What a control record that cannot be read means: that it is none, or that the registry has to be asked again."""

from datetime import UTC, datetime

import pytest

from headrace.errors import Fatal, Transient
from headrace.stream.control import Controls
from headrace.stream.memory import MemorySchemas

RECORD = {
    "dataset": "shop.orders",
    "connector": "file",
    "position": "{}",
    "rows_read": 3,
    "caught_up": True,
    "version": 1,
    "run": 0,
    "run_rows": 0,
    "begun_at": None,
    "request": "",
    "at": datetime(2026, 1, 2, tzinfo=UTC),
}


class Refusing(MemorySchemas):
    """A registry that tells nobody anything."""

    def schema(self, schema_id: int) -> str | None:
        raise Fatal("the registry answered 401: who are you?")


def test_a_record_is_read_as_it_was_written() -> None:
    controls = Controls(MemorySchemas())
    assert controls.decode(controls.encode("source_position", RECORD)) == RECORD


@pytest.mark.parametrize("cut", range(5, 40, 5))
def test_a_damaged_record_is_named_so(cut: int) -> None:
    controls = Controls(MemorySchemas())
    with pytest.raises(Fatal, match="damaged"):
        controls.decode(controls.encode("source_position", RECORD)[:cut])


def test_bytes_of_another_kind_are_no_control_record() -> None:
    with pytest.raises(Fatal, match="no known schema"):
        Controls(MemorySchemas()).decode(b"\xffjunk")


def test_a_registry_that_refuses_says_nothing_of_the_record() -> None:
    schemas = Refusing()
    with pytest.raises(Transient, match="401"):
        Controls(schemas).decode(Controls(schemas).encode("source_position", RECORD))
