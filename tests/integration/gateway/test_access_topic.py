"""Who may do what is written once, and known wherever the topic is followed: other gateways, and ingest without any."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from headrace.access.book import Principal
from headrace.access.policy import Action, Asset, Grant, Scope
from headrace.access.topic import AccessChange, AccessLog, KnownAccess
from headrace.errors import Fatal, Transient
from headrace.stream.control import Controls
from headrace.stream.kafka import Connection
from headrace.stream.registry import Registry
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.adapters.database import open_database, upgrade
from services.ingest.adapters.account_tokens import AccountTokens
from tests.stack import Stack, eventually

KEY = "k" * 32
ADMIN = SecretStr("an-admin-token-of-a-test")
ORDERS = Asset("shop.orders")


class Follower:
    """A process that follows the topic: a gateway, with an ingest beside it."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        connection = Connection(stack.settings.bootstrap_servers)
        controls = Controls(Registry(stack.settings.registry_url))
        self.known = KnownAccess(connection, controls)
        self.log = AccessLog(connection, controls)
        folder.mkdir()
        engine = open_database(f"sqlite:///{folder / 'gateway.db'}")
        upgrade(engine)
        self.desk = AccessDesk(engine, self.known, self.log, ADMIN, KEY.encode())
        self.push = AccountTokens(self.known, SecretStr(KEY), lambda _: None)
        self.known.start()

    def reads(self, bearer: str) -> bool | None:
        """Whether a gateway lets this token see the dataset; None when it does not know it."""
        caller = self.desk.bearer(bearer, datetime.now(UTC)) if self.known.book is not None else None
        return None if caller is None else caller.access.may(Action.SEE, ORDERS)


@pytest.fixture
def followers(stack: Stack, tmp_path: Path) -> Iterator[tuple[Follower, Follower]]:
    both = Follower(stack, tmp_path / "one"), Follower(stack, tmp_path / "two")
    yield both
    for each in both:
        each.known.close()


def test_what_one_gateway_writes_is_known_to_all_until_it_is_taken_back(
    followers: tuple[Follower, Follower], stack: Stack, tmp_path: Path
) -> None:
    here, there = followers
    at = datetime.now(UTC)
    till = Principal("s-till", "service", "till")
    grant = Grant("g-till", "user:s-till", "operator", Scope.parse("domain:shop"))
    here.desk.add_principal("ada", at, till)
    here.desk.put("ada", at, grant)
    token, bearer = here.desk.new_token("ada", at, till.id, "till", list(Action), [Scope.parse("*")], None)
    assert here.reads(bearer) is True, "who wrote it knows it"
    eventually(
        lambda: there.reads(bearer) is True and there.push(bearer, "shop.orders") is True, 30, "it is known elsewhere"
    )
    assert there.push(bearer, "nyc.flights") is False
    with pytest.raises(Fatal, match="is taken"):
        there.desk.add_principal("eve", at, Principal("s-2", "service", "Till"))

    late = Follower(stack, tmp_path / "late")  # as after a restart
    eventually(lambda: late.reads(bearer) is True, 30, "it is read from the topic")
    late.known.close()

    there.desk.remove("ada", at, grant)
    assert there.reads(bearer) is False
    eventually(
        lambda: here.reads(bearer) is False and here.push(bearer, "shop.orders") is False, 30, "the grant is gone"
    )
    here.desk.put("ada", at, grant)
    here.desk.remove("ada", at, token)
    assert here.reads(bearer) is None
    eventually(lambda: there.reads(bearer) is None and there.push(bearer, "shop.orders") is False, 30, "nor the token")


def test_the_control_who_does_not_follow_believes_what_was(followers: tuple[Follower, Follower]) -> None:
    here, there = followers
    at = datetime.now(UTC)
    eve = Principal("u-eve", "user", "eve")
    here.desk.add_principal("ada", at, eve)
    _, bearer = here.desk.new_token("ada", at, eve.id, "x", [Action.SEE], [Scope.parse("*")], None)
    eventually(lambda: there.reads(bearer) is False, 30, "it is known elsewhere")
    there.known.close()
    here.desk.change_principal("ada", at, eve.id, active=False)
    assert here.reads(bearer) is None
    assert there.reads(bearer) is False


def test_who_was_overtaken_writes_nothing(followers: tuple[Follower, Follower]) -> None:
    """Each decides on all that stands: a name is not given twice, however two gateways meet."""
    here, there = followers
    at = datetime.now(UTC)

    def overtaken(_: object) -> list[AccessChange]:
        there.desk.add_principal("bob", at, Principal("u-quick", "user", "the same"))
        return [AccessChange(Principal("u-slow", "user", "the same"))]

    with pytest.raises(Transient, match="at the same time"):
        here.log.change("ada", at, overtaken)
    eventually(lambda: here.known.book is not None and "u-quick" in here.known.book.principals, 30, "one is there")
    assert here.known.book is not None
    assert "u-slow" not in here.known.book.principals
