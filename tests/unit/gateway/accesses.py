"""Access without Kafka: a topic in memory, and callers with the roles a test wants."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

from argon2 import PasswordHasher
from pydantic import SecretStr
from sqlalchemy import Engine

from headrace.access.book import AccessBook, Entry, Principal
from headrace.access.policy import Action, Grant, Role, Scope
from headrace.access.topic import AccessChange, AccessLog, KnownAccess
from headrace.contract.fields import Classification
from services.gateway.adapters.access_desk import AccessDesk
from services.gateway.core.session_life import Lifetime, SignInTimes
from services.gateway.gateway import Gateway
from services.gateway.sign_in import SignIn

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
_KEY = b"k" * 32


class MemoryAccess:
    """The topic and whoever follows it, in one: what is written is known at once."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.book: AccessBook | None = AccessBook()

    def change(
        self, by: str, at: datetime, decide: Callable[[AccessBook], Sequence[AccessChange]]
    ) -> Sequence[AccessChange]:
        assert by
        assert at
        changes = decide(AccessBook.of(self.entries.values()))
        for change in changes:
            self.entries.pop(change.entry.id, None)
            if not change.gone:
                self.entries[change.entry.id] = change.entry
        self.book = AccessBook.of(self.entries.values())
        return changes

    def wait_until(self, seen: Callable[[AccessBook], bool], timeout_s: float) -> bool:
        assert timeout_s > 0
        return self.book is not None and seen(self.book)

    def start(self) -> None:
        """There is nothing to follow."""

    def close(self) -> None:
        """There is nothing to end."""


def with_memory(gateway: Gateway, admin_token: str) -> Gateway:
    """The gateway with access in memory."""
    memory = MemoryAccess()
    known = cast(KnownAccess, memory)
    desk = AccessDesk(gateway.engine, known, cast(AccessLog, memory), SecretStr(admin_token), _KEY)
    return replace(gateway, access=desk, known_access=known, sign_in=quick_sign_in(gateway.engine, desk))


def quick_sign_in(engine: Engine, desk: AccessDesk) -> SignIn:
    """Sign-in with passwords that cost little."""
    times = SignInTimes(Lifetime(timedelta(minutes=30), timedelta(hours=12)), timedelta(hours=24))
    return SignIn(engine, _KEY, desk, times, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


def bearer(
    gateway: Gateway,
    name: str,
    role: Role | None,
    scope: str = "*",
    *,
    rows: str = "",
    clearance: Classification | None = None,
    actions: Sequence[Action] = tuple(Action),
    scopes: Sequence[str] = ("*",),
) -> str:
    """The token of somebody new with this role, or with none."""
    gateway.access.add_principal("a test", AT, Principal(f"u-{name}", "user", name))
    if role is not None:
        grant = Grant(f"g-{name}", f"user:u-{name}", role, Scope.parse(scope), rows, clearance)
        gateway.access.put("a test", AT, grant)
    reach = [Scope.parse(each) for each in scopes]
    return gateway.access.new_token("a test", AT, f"u-{name}", "a test", actions, reach, None)[1]


def headers(token: str) -> dict[str, str]:
    """As a request carries the token."""
    return {"Authorization": f"Bearer {token}"}
