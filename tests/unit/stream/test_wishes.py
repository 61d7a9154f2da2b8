"""What stands of what people ask of a source."""

from datetime import UTC, datetime

from headrace.stream.wishes import Act, Wish, pause_of, run_of

AT = datetime(2026, 1, 2, tzinfo=UTC)
NAME = "shop.orders"


def latest(*acts: Act) -> dict[str, Wish]:
    """The last wish of each key, as a compacted topic has it."""
    wishes = [Wish(NAME, act, AT, "ann", "why", f"request {number}") for number, act in enumerate(acts)]
    return {wish.key.decode(): wish for wish in wishes}


def test_a_pause_stands_until_it_is_taken_back() -> None:
    paused = pause_of(latest("pause"), NAME)
    assert paused is not None
    assert paused.told == "paused by ann since 2026-01-02T00:00:00+00:00 because: why"
    assert pause_of(latest("pause", "resume"), NAME) is None
    assert pause_of(latest("pause", "resume", "pause"), NAME) is not None
    assert pause_of(latest("pause"), "shop.others") is None


def test_a_wish_to_be_read_now_leaves_a_pause_alone() -> None:
    found = latest("pause", "run", "run")
    assert run_of(found, NAME) == "request 2"
    assert pause_of(found, NAME) is not None
    assert run_of({}, NAME) == ""


def test_a_record_comes_back_as_it_was() -> None:
    wish = Wish(NAME, "pause", AT, "ann", "why")
    assert Wish.of({**wish.record(), "of_a_later_version": 1}) == wish
