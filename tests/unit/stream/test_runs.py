"""What the records of a dataset's runs come to."""

from dataclasses import replace
from datetime import UTC, datetime

from headrace.stream.runs import History, Range, Run, State, backfilling, histories

AT = datetime(2026, 1, 2, tzinfo=UTC)


def run(number: int, state: State = "shown", **more: object) -> Run:
    return replace(Run("shop.products", number, state, AT, starts=(10 * number, 0)), **more)  # type: ignore[arg-type]


def history(*records: Run) -> History:
    return History.of("shop.products", records)


def test_a_record_comes_back_as_it_was_and_what_is_new_in_it_is_left_out() -> None:
    told = run(3, ends=(40, 7), rows=17, source_rows=17)
    assert Run.of({**told.record(), "of_a_later_version": 1}) == told
    assert told.key == b"shop.products/3"
    assert run(0, "wanted").key == b"shop.products/wanted"


def test_ranges_leave_out_partitions_without_rows() -> None:
    assert run(1, ends=(25, 0)).ranges == (Range(0, 10, 25),)


def test_of_other_datasets_nothing_is_known() -> None:
    assert history(replace(run(1), dataset="shop.orders")) == History()


def test_the_last_that_was_shown_shows_and_the_one_before_is_kept() -> None:
    told = history(run(1), run(2), run(3, "refused"))
    assert (told.current, told.previous) == (run(2), run(1))
    assert told.newest == run(3, "refused")


def test_before_the_first_nothing_shows() -> None:
    told = history(run(1, "begun"))
    assert (told.current, told.previous, told.recalled, told.undecided) == (None, None, None, ())


def test_going_back_and_forth() -> None:
    one, two = run(1), run(2)
    back = history(one, two, run(1, "recalled"))
    assert back.recalled == one
    gone_back = history(two, run(1, "recalled"), one)
    assert gone_back.recalled is None
    assert (gone_back.current, gone_back.previous) == (one, two)
    assert history(two, one, run(2, "recalled")).recalled == two


def test_what_was_asked_before_another_run_showed_is_void() -> None:
    assert history(run(1), run(2), run(1, "recalled"), run(3)).recalled is None


def test_a_run_that_is_no_longer_kept_cannot_be_recalled() -> None:
    assert history(run(1), run(2), run(3), run(1, "recalled")).recalled is None


def test_runs_are_decided_in_their_order_and_none_that_was_overtaken() -> None:
    told = history(run(2), run(4, "ended"), run(3, "ended"), run(1, "ended"), run(5, "begun"))
    assert [each.run for each in told.undecided] == [3, 4]


def test_after_going_back_older_runs_stay_decided() -> None:
    told = history(run(3), run(2, "ended"), run(1))
    assert told.undecided == ()


def test_a_run_that_a_later_one_followed_is_abandoned() -> None:
    told = history(run(1, "begun"), run(2, "begun"))
    assert [told.abandoned(each) for each in told.runs] == [True, False]


def test_the_last_runs_are_remembered_and_those_that_can_show() -> None:
    told = history(run(2, "refused"), run(3), run(4, "begun"), run(5, "refused"), run(6), run(1))
    assert (told.current, told.previous) == (run(1), run(6))
    assert told.forgettable(2) == (run(2, "refused"), run(3), run(4, "begun"))
    assert told.forgettable(100) == ()


WISH = run(0, "wanted", request="first", since=AT, until=AT)
ANSWER = run(1, "begun", request="first", since=AT, until=AT)


def test_a_backfill_is_awaited_until_a_run_answers_it() -> None:
    assert history(WISH).awaited == WISH
    assert history(WISH).backfill is None
    told = history(WISH, ANSWER)
    assert (told.awaited, told.backfill) == (None, ANSWER)
    ended = history(WISH, replace(ANSWER, state="ended"))
    assert (ended.awaited, ended.backfill) == (None, None)
    assert history(replace(WISH, request="second"), replace(ANSWER, state="ended")).awaited is not None


def test_a_full_load_is_no_backfill() -> None:
    assert history(run(0, "wanted", request="first")).awaited is None
    assert history(run(1, "begun")).backfill is None


def test_a_backfill_that_nobody_wants_any_more_is_named_by_its_wish() -> None:
    told = history(WISH, ANSWER, run(1, "unwanted", request="first"))
    assert told.unwanted("first")
    assert not told.unwanted("second")
    assert told.runs == (ANSWER,)


def test_the_datasets_with_a_backfill_are_known_from_all_records() -> None:
    others = replace(WISH, dataset="shop.orders")
    assert backfilling(histories([WISH, replace(ANSWER, state="cancelled"), others, run(9)])) == {"shop.orders"}
