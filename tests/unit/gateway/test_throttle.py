"""Whoever fails to sign in waits, longer each time; nobody is kept out for good."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from services.gateway.adapters.attempt_store import Attempts
from services.gateway.core.sign_in import TooManyAttempts, counted_address
from services.gateway.core.throttle import RULES, Rule

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOME, AWAY = "192.0.2.7", "198.51.100.9"


@pytest.fixture
def attempts(engine: Engine) -> Attempts:
    return Attempts(engine, b"k" * 32)


def waits(attempt: Callable[[], None]) -> int:
    """How long an attempt has to wait; 0 when it goes on."""
    try:
        attempt()
    except TooManyAttempts as refused:
        return refused.wait_s
    return 0


def fail(attempts: Attempts, names: Iterable[str], addresses: Iterable[str], at: datetime = AT) -> int:
    """How many attempts go on, each of another name and address, until one has to wait."""
    for n, (name, address) in enumerate(zip(names, addresses, strict=False)):
        if waits(partial(attempts.begin, name, address, at)):
            return n
    raise AssertionError("none had to wait")


@given(free=st.integers(1, 50), longest_s=st.integers(1, 5000), failures=st.integers(0, 10_000))
def test_a_wait_grows_up_to_the_longest(free: int, longest_s: int, failures: int) -> None:
    rule = Rule(free, timedelta(seconds=longest_s))
    assert timedelta() <= rule.wait(failures) <= rule.wait(failures + 1) <= rule.longest
    assert (rule.wait(failures) > timedelta()) == (failures >= free)


def test_a_few_failures_are_free_then_it_waits_longer_each_time_and_never_for_good(attempts: Attempts) -> None:
    for _ in range(5):
        attempts.begin("ann", HOME, AT)
    now, waited = AT, []
    for _ in range(14):
        wait_s = waits(partial(attempts.begin, "ann", HOME, now))
        waited.append(wait_s)
        now += timedelta(seconds=wait_s)
        attempts.begin("ann", HOME, now)
    assert waited == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]


def test_an_attempt_that_has_to_wait_does_not_count(attempts: Attempts) -> None:
    for _ in range(5):
        attempts.begin("ann", HOME, AT)
    for _ in range(50):
        assert waits(lambda: attempts.begin("ann", HOME, AT)) == 1
    attempts.begin("ann", HOME, AT + timedelta(seconds=1))


def test_a_success_starts_the_count_anew_for_the_name_there(attempts: Attempts) -> None:
    for _ in range(4):
        attempts.begin("ann", HOME, AT)
    attempts.begin(" ANN", HOME, AT)
    attempts.succeeded("Ann", HOME, AT)
    for _ in range(5):
        attempts.begin("ann", HOME, AT)
    assert waits(lambda: attempts.begin("ann", HOME, AT)) == 1


def test_many_names_from_one_address_are_slowed_down_and_a_success_in_between_is_no_way_around(
    attempts: Attempts,
) -> None:
    def names() -> Iterable[str]:
        yield from (f"name {n}" for n in range(1000))

    assert fail(attempts, names(), [HOME] * 1000) == RULES["address"].free
    later = AT + timedelta(hours=3)
    for n in range(RULES["address"].free):
        attempts.begin(f"other {n}", AWAY, later)
        if waits(lambda: attempts.begin("mine", AWAY, later)):
            break
        attempts.succeeded("mine", AWAY, later)
    assert waits(lambda: attempts.begin("another", AWAY, later)) > 0


def test_many_addresses_for_one_name_are_slowed_down_but_not_where_its_owner_has_signed_in(attempts: Attempts) -> None:
    attempts.begin("ann", HOME, AT)
    attempts.succeeded("ann", HOME, AT)
    addresses = [f"198.51.100.{n}" for n in range(200)]
    assert fail(attempts, ["ann"] * 200, addresses) == RULES["name"].free
    assert waits(lambda: attempts.begin("ann", "203.0.113.5", AT)) > 0
    attempts.begin("ann", HOME, AT)
    attempts.begin("bea", "203.0.113.5", AT)


def test_gateways_count_together_and_many_at_once_are_no_way_around(engine: Engine) -> None:
    replicas = [Attempts(engine, b"k" * 32) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        waited = list(pool.map(lambda n: waits(lambda: replicas[n % 2].begin("ann", HOME, AT)), range(24)))
    assert waited.count(0) == RULES["pair"].free


def test_what_is_old_is_forgotten(engine: Engine, attempts: Attempts) -> None:
    fail(attempts, ["ann"] * 10, [HOME] * 10)
    attempts.begin("bea", AWAY, AT + timedelta(hours=2))
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from sign_in_attempts")).scalar_one() == 3


def test_names_and_addresses_are_not_kept_in_the_clear(engine: Engine, attempts: Attempts) -> None:
    attempts.begin("typed a password here", HOME, AT)
    with engine.connect() as connection:
        kept = repr(connection.execute(text("select * from sign_in_attempts")).all())
    assert "password" not in kept
    assert HOME not in kept


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("testclient", "testclient", True),
    ],
)
def test_an_address_counts_as_what_one_attacker_has(one: str, other: str, same: bool) -> None:
    assert (counted_address(one) == counted_address(other)) == same
