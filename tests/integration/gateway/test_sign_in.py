"""Sign-in over PostgreSQL, as several gateways share it: what is to happen once happens once, whoever asks at the same moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Engine

from headrace.access.book import Principal
from headrace.access.topic import AccessChange, AccessLog, KnownAccess
from headrace.errors import HeadraceError
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.adapters.database import open_database, upgrade
from services.gateway.adapters.session_store import Whence
from services.gateway.adapters.tables import METADATA
from services.gateway.core.sign_in import CodeRefused, SignInRefused, TooManyAttempts
from services.gateway.core.throttle import RULES
from services.gateway.sign_in import SignIn
from tests.unit.gateway.accesses import MemoryAccess, quick_sign_in

AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOME = Whence("192.0.2.7", "Firefox")
PASSWORD, OTHER = "correct horse battery staple", "four quite different words"


@pytest.fixture
def engines(own_database_url: str) -> Iterator[list[Engine]]:
    """Two connections to one database, as two gateways have them."""
    found = [open_database(own_database_url) for _ in range(2)]
    upgrade(found[0])
    yield found
    for each in found:
        each.dispose()


@pytest.fixture
def gateways(engines: list[Engine]) -> list[SignIn]:
    """Two gateways in which Ada is somebody."""
    memory = MemoryAccess()
    memory.change("a test", AT, lambda _: [AccessChange(Principal("u-ada", "user", "ada"))])
    known, written = cast(KnownAccess, memory), cast(AccessLog, memory)
    return [
        quick_sign_in(engine, AccessDesk(engine, known, written, SecretStr("a token"), b"k" * 32)) for engine in engines
    ]


def outcomes(gateways: list[SignIn], times: int, act: Callable[[SignIn], object]) -> list[type[Any]]:
    """What comes of asking them in turns, all at the same time: the kinds of errors, and NoneType for each that went well."""

    def outcome(n: int) -> type[Any]:
        try:
            act(gateways[n % len(gateways)])
        except HeadraceError as error:
            return type(error)
        return type(None)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(outcome, range(times)))


def test_the_migrations_make_the_tables_of_the_code(engines: list[Engine]) -> None:
    with engines[0].connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_code_works_once_and_a_session_is_known_to_every_gateway(gateways: list[SignIn]) -> None:
    first, second = gateways
    code = first.offer_reset("u-ada", "a test", AT).code
    found = outcomes(gateways, 8, lambda gateway: gateway.reset(code, PASSWORD, AT, HOME))
    assert (found.count(type(None)), found.count(CodeRefused)) == (1, 7)
    opened = first.with_password("ada", PASSWORD, AT, HOME)
    assert second.sessions.of(opened.cookie, AT) == opened.session
    later = AT + timedelta(minutes=2)
    assert second.sessions.of(opened.cookie, later) is not None
    assert {each.seen_at for each in first.sessions.all(later)} == {AT, later}
    renewed = second.sessions.renew(opened.session, opened.cookie, later)
    assert renewed is not None
    assert first.sessions.renew(opened.session, opened.cookie, later) is None
    cookie = first.change_password(opened.session, renewed, PASSWORD, OTHER, later, HOME)
    assert second.sessions.of(renewed, later) is None
    assert second.sessions.of(cookie, later) is not None
    assert len(second.sessions.all(later)) == 1
    first.end_all("u-ada")
    assert second.sessions.of(cookie, later) is None


def test_gateways_count_failures_together(gateways: list[SignIn]) -> None:
    gateways[0].reset(gateways[0].offer_reset("u-ada", "a test", AT).code, PASSWORD, AT, HOME)
    found = outcomes(gateways, 24, lambda gateway: gateway.with_password("ada", "wrong", AT, HOME))
    free = RULES["pair"].free
    assert (found.count(SignInRefused), found.count(TooManyAttempts)) == (free, 24 - free)
    with pytest.raises(TooManyAttempts):
        gateways[1].with_password("ada", PASSWORD, AT, HOME)
    gateways[1].with_password("ada", PASSWORD, AT + timedelta(seconds=1), HOME)
