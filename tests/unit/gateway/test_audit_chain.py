"""Whatever is done to stored entries is found; without anchored heads, what is cut off or written anew is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.audit import FIELDS, GENESIS, Entry, Finding, Head, digest, sealed, verified

NOW_US = 1_800_000_000_000_000
LONG_AGO_US = NOW_US - 3_600_000_000

Chains = list[Entry]


def entry(writer: str, seq: int, before: str, said: str = "") -> Entry:
    return sealed(
        Entry(
            writer=writer,
            seq=seq,
            prev_hash=before,
            hash="",
            id=f"{seq:032x}",
            phase="whole",
            at_us=LONG_AGO_US + seq,
            actor="ann",
            actor_id="",
            credential="",
            action="POST /api/v1/query",
            datasets="[]",
            address="192.0.2.7",
            user_agent="curl",
            request_id=f"{writer}-{seq}",
            status=403,
            outcome="refused",
            details=f'{{"said": "{said}"}}',
        )
    )


def chain(writer: str, length: int, said: str = "") -> Chains:
    made: Chains = []
    for seq in range(1, length + 1):
        made.append(entry(writer, seq, made[-1].hash if made else GENESIS, said))
    return made


def heads_of(entries: Chains, *, closed: bool = False) -> dict[str, Head]:
    return {each.writer: Head(each.writer, each.seq, each.hash, closed) for each in entries}


def findings(entries: Chains, heads: dict[str, Head] | None) -> list[Finding]:
    """As the database hands them out: by writer and number."""
    stored = sorted(entries, key=lambda each: (each.writer, each.seq))
    return [each.finding for each in verified(stored, heads, NOW_US) if each.finding is not None]


@st.composite
def histories(draw: st.DrawFn) -> Chains:
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    return [each for number, length in enumerate(lengths) for each in chain(f"gateway.{number}", length)]


@st.composite
def altered(draw: st.DrawFn) -> tuple[Chains, Chains]:
    """Chains, and the same with one entry changed in one field, whose hash is made anew or not."""
    entries = draw(histories())
    at = draw(st.integers(0, len(entries) - 1))
    name = draw(st.sampled_from(FIELDS))
    old = getattr(entries[at], name)
    wild: st.SearchStrategy[Any] = st.integers(-5, 2**60) if isinstance(old, int) else st.text(max_size=5)
    changed: Entry = replace(entries[at], **{name: draw(wild.filter(lambda value: value != old))})
    if name != "hash" and draw(st.booleans()):
        changed = sealed(changed)
    return entries, [*entries[:at], changed, *entries[at + 1 :]]


@given(histories(), st.booleans())
def test_what_was_written_is_whole(entries: Chains, closed: bool) -> None:
    assert findings(entries, heads_of(entries, closed=closed)) == []
    assert findings(entries, None) == []


@given(altered())
def test_any_change_of_an_entry_is_found(both: tuple[Chains, Chains]) -> None:
    before, after = both
    assert findings(after, heads_of(before))


@given(histories(), st.data())
def test_an_entry_that_is_gone_is_found(entries: Chains, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(entries) - 1))
    gone = entries[at]
    (found,) = findings([*entries[:at], *entries[at + 1 :]], heads_of(entries))
    assert (found.kind in ("missing", "truncated"), found.writer, found.seq) == (True, gone.writer, gone.seq)


@given(histories().filter(lambda entries: len(entries) > 1), st.data())
def test_entries_that_change_places_are_found(entries: Chains, data: st.DataObject) -> None:
    one, other = data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=2, max_size=2, unique=True))
    moved = list(entries)
    place = {name: getattr(entries[other], name) for name in ("writer", "seq")}
    moved[one] = replace(entries[one], **place)
    moved[other] = replace(entries[other], writer=entries[one].writer, seq=entries[one].seq)
    if data.draw(st.booleans()):
        moved[one], moved[other] = sealed(moved[one]), sealed(moved[other])
    assert findings(moved, heads_of(entries))


@given(histories(), st.data())
def test_what_is_cut_off_is_found_only_by_the_anchored_head(entries: Chains, data: st.DataObject) -> None:
    writer = data.draw(st.sampled_from(sorted({each.writer for each in entries})))
    whole = [each for each in entries if each.writer == writer]
    left = data.draw(st.integers(0, len(whole) - 1))
    cut = [each for each in entries if each.writer != writer or each.seq <= left]
    (found,) = findings(cut, heads_of(entries))
    assert (found.kind, found.writer, found.seq) == ("truncated", writer, left + 1)
    assert findings(cut, None) == []  # the control: chains themselves say nothing of their ends


@given(histories(), st.data())
def test_a_chain_written_anew_from_an_entry_on_is_found_only_by_the_anchored_head(
    entries: Chains, data: st.DataObject
) -> None:
    writer = data.draw(st.sampled_from(sorted({each.writer for each in entries})))
    length = sum(each.writer == writer for each in entries)
    anew = [each for each in entries if each.writer != writer] + chain(writer, length, "somebody else did it")
    (found,) = findings(anew, heads_of(entries))
    assert (found.kind, found.writer) == ("rewritten", writer)
    assert findings(anew, None) == []  # the control


@given(histories(), st.integers(1, 4))
def test_a_chain_that_was_made_up_is_found_only_by_its_missing_head(entries: Chains, length: int) -> None:
    made_up = chain("forged", length)
    (found,) = findings(entries + made_up, heads_of(entries))
    assert (found.kind, found.writer) == ("unknown-writer", "forged")
    assert findings(entries + made_up, None) == []  # the control


def test_a_chain_that_has_just_begun_is_given_a_minute_to_be_announced() -> None:
    (new,) = chain("new", 1)
    new = sealed(replace(new, at_us=NOW_US - 1_000_000))
    (checked,) = verified([new], {}, NOW_US)
    assert (checked.finding, checked.unproven) == (None, 1)


def test_entries_behind_the_end_of_a_chain_are_found_and_those_behind_an_anchored_head_are_counted() -> None:
    entries = chain("gateway", 5)
    until = heads_of(entries[:3])
    (checked,) = verified(entries, until, NOW_US)
    assert (checked.finding, checked.anchored, checked.unproven) == (None, 3, 2)
    (found,) = findings(entries, heads_of(entries[:3], closed=True))
    assert (found.kind, found.seq) == ("behind-the-end", 4)


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("changed", lambda made: [made[0], replace(made[1], actor="bea"), *made[2:]]),
        ("missing", lambda made: [made[0], *made[2:]]),
        ("misplaced", lambda made: [made[0], sealed(replace(made[1], prev_hash=GENESIS)), *made[2:]]),
        ("changed", lambda made: [made[0], replace(made[1], details=b"bytes", hash=None), *made[2:]]),
    ],
)
def test_the_first_entry_at_fault_is_named(kind: str, act: Callable[[Chains], Chains]) -> None:
    (found,) = findings(act(chain("gateway", 4)), None)
    assert (found.kind, found.seq) == (kind, 2)


def test_the_hash_is_what_the_documentation_says() -> None:
    """docs/audit.md tells others how to compute it: it stays as it is."""
    assert digest(chain("gateway.1", 1)[0]) == "84d76ae8c961fa9aaf5979323dcb1cc41ce915eb4061eb419975d9fcb63aeb24"
