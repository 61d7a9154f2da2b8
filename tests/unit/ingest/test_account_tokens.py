"""Accounts send rows to the datasets that they may operate."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from pydantic import SecretStr

from headrace.access.book import AccessBook, Principal, Token, digest, new_bearer
from headrace.access.policy import Action, Grant, Role, Scope
from headrace.access.topic import KnownAccess
from services.ingest.adapters.account_tokens import AccountTokens
from tests.unit.ingest.pushing import dataset, problem, served

KEY = SecretStr("k" * 32)
BEARER = new_bearer("0" * 16)
ROW = '{"id": 1}'


def tokens(role: Role, scope: str, *, expires_at: datetime | None = None, key: SecretStr | None = KEY) -> AccountTokens:
    """What ingest knows of one service account."""
    made = datetime.now(UTC) - timedelta(days=1)
    kept = digest(KEY.get_secret_value().encode(), BEARER)
    entries = (
        Principal("s-1", "service", "till"),
        Grant("g-1", "user:s-1", role, Scope.parse(scope)),
        Token("0" * 16, "s-1", "till", kept, made, expires_at, tuple(Action), (Scope.parse("*"),)),
    )
    known = cast(KnownAccess, SimpleNamespace(book=AccessBook.of(entries)))
    return AccountTokens(known, key, lambda _: None)


@pytest.mark.parametrize(
    ("role", "scope", "may"),
    [
        ("operator", "*", True),
        ("engineer", "domain:shop", True),
        ("operator", "dataset:shop.orders", True),
        ("analyst", "*", False),
        ("operator", "domain:nyc", False),
    ],
)
def test_whoever_may_operate_a_dataset_sends_to_it(role: Role, scope: str, may: bool) -> None:
    assert tokens(role, scope)(BEARER, "shop.orders") is may


def test_what_is_no_such_token_is_none() -> None:
    for wrong in ("", "secret", BEARER + "x", new_bearer("0" * 16), new_bearer("1" * 16)):
        assert tokens("operator", "*")(wrong, "shop.orders") is False
    assert tokens("operator", "*", expires_at=datetime.now(UTC))(BEARER, "shop.orders") is False
    assert tokens("operator", "*", key=None)(BEARER, "shop.orders") is False


def test_rows_are_taken_from_an_account_whatever_tokens_the_dataset_has(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(tokens=["secret://one"])
    with served(live, monkeypatch, secrets={"one": "first"}, may_send=tokens("operator", "*")) as service:
        assert service.post(ROW, token=BEARER).status_code == 202
        assert service.post(ROW, token="first").status_code == 202
    with served(live, monkeypatch, secrets={"one": "first"}, may_send=tokens("analyst", "*")) as service:
        assert problem(service.post(ROW, token=BEARER), 401)
        assert service.post(ROW, token="first").status_code == 202


def test_before_anything_is_known_it_is_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = AccountTokens(cast(KnownAccess, SimpleNamespace(book=None)), KEY, lambda _: None)
    with served(dataset(), monkeypatch, may_send=unknown) as service:
        assert problem(service.post(ROW, token=BEARER), 503)
        assert service.post(ROW).status_code == 202  # the platform's token
