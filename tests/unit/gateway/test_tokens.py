"""Who a bearer token belongs to, and that nobody keeps its secret."""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, text

from services.gateway.adapters.token_store import TokenStore, kept_key

AT = datetime(2026, 1, 2, tzinfo=UTC)
ADMIN = SecretStr("an-admin-token-of-a-test")


def test_a_token_is_known_until_it_is_revoked(engine: Engine) -> None:
    store = TokenStore(engine, ADMIN, b"k" * 32)
    token, bearer = store.create("grafana", AT)
    caller = store.caller(bearer)
    assert caller is not None
    assert (caller.name, caller.is_admin) == ("grafana", False)
    assert store.all() == [token]
    assert store.revoke(token.id)
    assert store.caller(bearer) is None
    assert not store.revoke(token.id)


def test_only_the_exact_token_is_known(engine: Engine) -> None:
    store = TokenStore(engine, ADMIN, b"k" * 32)
    _, bearer = store.create("grafana", AT)
    for wrong in (bearer[:-1], bearer + "x", bearer.upper(), "", "hr_", "hr__", bearer.rpartition("_")[0], "hr_é_x"):
        assert store.caller(wrong) is None
    admin = store.caller(ADMIN.get_secret_value())
    assert admin is not None
    assert admin.is_admin


def test_the_database_holds_no_secret_and_is_worth_nothing_without_the_key(engine: Engine) -> None:
    store = TokenStore(engine, ADMIN, b"k" * 32)
    _, bearer = store.create("grafana", AT)
    with engine.connect() as connection:
        rows = repr(connection.execute(text("select * from tokens")).all())
    assert bearer.rpartition("_")[2] not in rows
    assert TokenStore(engine, ADMIN, b"x" * 32).caller(bearer) is None


def test_the_kept_key_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "gateway.key"
    key = kept_key(path)
    assert len(key) == 32
    assert kept_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["gateway.key"]
