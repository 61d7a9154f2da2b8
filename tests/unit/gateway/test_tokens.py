"""Who a bearer token belongs to, and that nobody keeps its secret."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.access.book import AccessBook, Principal, Token, digest, new_bearer
from headrace.access.policy import EVERYTHING, Action
from headrace.access.topic import entry_of, record_of
from services.gateway.adapters.access_desk import ADMINISTRATOR, kept_key
from services.gateway.gateway import Gateway
from tests.unit.gateway.accesses import AT, bearer
from tests.unit.gateway.conftest import ADMIN

KEY = b"k" * 32
ADA = Principal("u-1", "user", "ada")


def token(kept: bytes, expires_at: datetime | None = None) -> Token:
    return Token("9f86d081884c7d65", ADA.id, "grafana", kept, AT, expires_at, (Action.SEE,), (EVERYTHING,))


def test_a_token_is_known_until_it_is_revoked_or_its_owner_is_gone(lonely: Gateway) -> None:
    made = bearer(lonely, "ada", "viewer")
    caller = lonely.access.bearer(made, AT)
    assert caller is not None
    assert caller.token is not None
    assert (caller.name, lonely.access.uses()) == ("ada", {caller.token.id: AT})
    lonely.access.change_principal("a test", AT, "u-ada", active=False)
    assert lonely.access.bearer(made, AT) is None
    lonely.access.change_principal("a test", AT, "u-ada", active=True)
    assert lonely.access.bearer(made, AT) is not None
    lonely.access.remove("a test", AT, caller.token)
    assert lonely.access.bearer(made, AT) is None


def test_only_the_exact_token_is_known(lonely: Gateway) -> None:
    made = bearer(lonely, "ada", "viewer")
    for wrong in (made[:-1], made + "x", made.upper(), "", "hr_", "hr__", made.rpartition("_")[0], "hr_é_x"):
        assert lonely.access.bearer(wrong, AT) is None
    assert lonely.access.bearer(ADMIN, AT) is ADMINISTRATOR


def test_what_is_kept_is_worth_nothing_without_the_key_and_after_its_time() -> None:
    secret = new_bearer("9f86d081884c7d65")
    kept = token(digest(KEY, secret), AT)
    book = AccessBook.of([ADA, kept])
    before = AT - timedelta(microseconds=1)
    assert secret.rpartition("_")[2] not in repr(record_of(kept))
    assert book.bearer(secret, KEY, before) is not None
    assert book.bearer(secret, KEY, AT) is None
    assert book.bearer(secret, b"x" * 32, before) is None


def test_a_record_tells_all_of_an_entry() -> None:
    for entry in (ADA, token(b"d" * 32, datetime(2027, 1, 1, tzinfo=UTC))):
        assert entry_of(record_of(entry)) == entry


def test_the_kept_key_stays_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "gateway.key"
    key = kept_key(path)
    assert len(key) == 32
    assert kept_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["gateway.key"]
