"""Whose a cookie is, for how long, and that nobody keeps it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from services.gateway.adapters.session_store import Sessions, Whence
from services.gateway.core.session_life import Lifetime

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIFETIME = Lifetime(idle=30 * MINUTE, absolute=timedelta(hours=12))
HOME = Whence("192.0.2.7", "Firefox")


class Powers:
    """What each may do, as a test says."""

    def __init__(self) -> None:
        self.of: dict[str, frozenset[str]] = {}

    def __call__(self, principal_id: str) -> frozenset[str]:
        return self.of.get(principal_id, frozenset())


@pytest.fixture
def powers() -> Powers:
    return Powers()


@pytest.fixture
def sessions(engine: Engine, powers: Powers) -> Sessions:
    return Sessions(engine, b"k" * 32, LIFETIME, powers)


def test_a_cookie_is_its_owners_until_the_session_is_ended(sessions: Sessions) -> None:
    opened = sessions.open("ann", AT, HOME)
    assert sessions.of(opened.cookie, AT) == opened.session
    assert (opened.session.principal, opened.session.address, opened.session.agent) == ("ann", "192.0.2.7", "Firefox")
    assert not sessions.end(opened.session.id, "bea")
    assert sessions.of(opened.cookie, AT) is not None
    assert sessions.end(opened.session.id, "ann")
    assert sessions.of(opened.cookie, AT) is None
    assert not sessions.end(opened.session.id)


def test_neither_the_cookie_nor_its_plain_hash_is_kept_and_another_key_knows_nobody(
    engine: Engine, sessions: Sessions, powers: Powers
) -> None:
    opened = sessions.open("ann", AT, HOME)
    with engine.connect() as connection:
        kept = repr(connection.execute(text("select * from sessions")).all())
    assert opened.session.id in kept
    assert opened.cookie not in kept
    assert opened.csrf not in kept
    assert Sessions(engine, b"K" * 32, LIFETIME, powers).of(opened.cookie, AT) is None
    for other in ("", opened.cookie[:-1], opened.cookie + "x", opened.session.id, opened.csrf, "\udc00"):
        assert sessions.of(other, AT) is None


def test_a_session_that_nobody_uses_ends_and_use_prolongs_it_at_most_to_the_absolute_end(sessions: Sessions) -> None:
    idle, used = sessions.open("ann", AT, HOME), sessions.open("ann", AT, HOME)
    now = AT
    while now < AT + LIFETIME.absolute:
        assert sessions.of(used.cookie, now) is not None
        now += 29 * MINUTE
    assert sessions.of(used.cookie, AT + LIFETIME.absolute) is None
    assert sessions.of(idle.cookie, AT + 30 * MINUTE) is None
    assert sessions.of(sessions.open("ann", AT, HOME).cookie, AT + 30 * MINUTE - timedelta(seconds=1)) is not None


def test_use_is_noted_once_a_minute(sessions: Sessions) -> None:
    opened = sessions.open("ann", AT, HOME)
    for seconds, seen_s in ((59, 0), (60, 60), (119, 60), (125, 125)):
        sessions.of(opened.cookie, AT + timedelta(seconds=seconds))
        (listed,) = sessions.all(AT)
        assert listed.seen_at == AT + timedelta(seconds=seen_s)


def test_each_session_has_a_token_of_its_own_that_its_cookie_does_not_tell(sessions: Sessions) -> None:
    first, second = sessions.open("ann", AT, HOME), sessions.open("ann", AT, HOME)
    assert sessions.shows(first.session, first.csrf)
    for other in (second.csrf, "", first.cookie, first.session.id, "é", "\udc00"):
        assert not sessions.shows(first.session, other)


def test_the_former_cookie_counts_for_a_moment_and_the_next_one_from_then_on(
    sessions: Sessions, powers: Powers
) -> None:
    opened = sessions.open("ann", AT, HOME)
    powers.of["ann"] = frozenset({"admin *"})
    cookie = sessions.renew(opened.session, opened.cookie, AT)
    assert cookie is not None
    assert sessions.renew(opened.session, opened.cookie, AT) is None
    for each in (cookie, opened.cookie):
        found = sessions.of(each, AT + timedelta(seconds=29))
        assert found is not None
        assert (found.id, found.powers) == (opened.session.id, frozenset({"admin *"}))
    assert sessions.of(cookie, AT + MINUTE) is not None
    assert sessions.of(opened.cookie, AT + MINUTE) is None


def test_the_list_is_of_those_that_count_and_what_is_over_is_swept_away(engine: Engine, sessions: Sessions) -> None:
    old = sessions.open("ann", AT, HOME)
    hers, other = sessions.open("ann", AT + 20 * MINUTE, HOME), sessions.open("bea", AT + 21 * MINUTE, HOME)
    now = AT + 31 * MINUTE
    assert [each.id for each in sessions.all(now)] == [other.session.id, hers.session.id]
    assert [each.id for each in sessions.all(now, "ann")] == [hers.session.id]
    sessions.open("bea", now, HOME)
    with engine.connect() as connection:
        kept = {row.id for row in connection.execute(text("select id from sessions"))}
    assert old.session.id not in kept
    assert len(kept) == 3


def test_what_a_program_says_of_itself_steers_nothing(sessions: Sessions) -> None:
    opened = sessions.open("ann", AT, Whence("::1", "a\r\nSet-Cookie: b\x1b[31m" + "x" * 5000))
    assert opened.session.agent.startswith("aSet-Cookie: b[31m")
    assert len(opened.session.agent) == 200
