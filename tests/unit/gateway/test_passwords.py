"""Which passwords are refused, and how they are kept."""

from datetime import UTC, datetime

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import Engine, text

from services.gateway.adapters.credential_store import Credentials, forget, put_hash
from services.gateway.core.passwords import MAX_CHARS, canonical, why_refused

AT = datetime(2026, 1, 2, tzinfo=UTC)
GOOD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "Tr0ub4dor&3",  # 11 characters
        "password2026!",
        "P@ssw0rdP@ssw0rd",
        "Headrace-Admin",
        "123456789012",
        "qwertyuiop123",
        "zyxwvutsrqponm",
        "aaaaaaaaaaaaaa",
        "abababababababab",
        "Ada Lovelace ada",
        "x" * (MAX_CHARS + 1),
    ],
)
def test_short_passwords_and_those_that_are_guessed_first_are_refused(password: str) -> None:
    assert why_refused(password, "Ada Lovelace")


@pytest.mark.parametrize(
    "password", [GOOD, "Vier ganz zufällige Wörter", "Kx9#vT2!mQ7z", "übergrößenträger", "ada likes 17 green mangoes"]
)
def test_others_will_do(password: str) -> None:
    assert why_refused(password, "Ada Lovelace") is None


def test_a_name_is_guessed_first_only_by_who_has_it() -> None:
    assert why_refused("bartholomew-77", "Bartholomew")
    assert why_refused("bartholomew-77", "Ada") is None


def test_a_password_is_the_same_however_its_characters_are_composed() -> None:
    assert canonical("Mu\u0308cke") == canonical("Mücke")


def test_a_password_is_known_and_only_its_hash_is_kept(engine: Engine) -> None:
    store = Credentials(engine, QUICK)
    with engine.begin() as connection:
        put_hash(connection, "ann", store.hash(GOOD), AT)
    assert store.has("ann")
    assert store.are("ann", GOOD, AT)
    for wrong in (GOOD[:-1], GOOD.upper(), "", "\x00", "\udc00"):
        assert not store.are("ann", wrong, AT)
    assert not store.are("bea", GOOD, AT)
    with engine.connect() as connection:
        kept = repr(connection.execute(text("select * from credentials")).all())
    assert "$argon2id$" in kept
    assert GOOD not in kept
    with engine.begin() as connection:
        forget(connection, "ann")
    assert not store.are("ann", GOOD, AT)


class Counting(PasswordHasher):
    """Notes what it was asked to do, with which parameters."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.looked_at: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.looked_at.append(str(hash).rpartition("$")[0].rpartition("$")[0])
        return super().verify(hash, password)


def test_nobody_takes_as_much_work_as_somebody(engine: Engine) -> None:
    hasher = Counting()
    store = Credentials(engine, hasher)
    with engine.begin() as connection:
        put_hash(connection, "ann", store.hash(GOOD), AT)
    for who in ("ann", "bea", None):
        assert not store.are(who, "wrong", AT)
    assert len(hasher.looked_at) == 3
    assert len(set(hasher.looked_at)) == 1  # the same parameters, and so the same work
    assert hasher.looked_at[0].startswith("$argon2id$")


def test_the_stand_in_is_a_hash_that_is_really_computed(engine: Engine) -> None:
    store = Credentials(engine, QUICK)
    with pytest.raises(VerifyMismatchError):  # and not that it is no hash
        QUICK.verify(store._nobodys, b"anything")


def test_a_hash_of_other_parameters_is_made_anew_by_a_success_and_by_nothing_else(engine: Engine) -> None:
    old, new = Credentials(engine, QUICK), Credentials(engine, PasswordHasher(2, 128, 1))

    def kept() -> str:
        with engine.connect() as connection:
            return str(connection.execute(text("select hash from credentials")).scalar_one())

    with engine.begin() as connection:
        put_hash(connection, "ann", old.hash(GOOD), AT)
    before = kept()
    assert not new.are("ann", "wrong", AT)
    assert old.are("ann", GOOD, AT)
    assert kept() == before
    assert new.are("ann", GOOD, AT)
    assert "m=128,t=2" in kept()
    assert new.are("ann", GOOD, AT)
