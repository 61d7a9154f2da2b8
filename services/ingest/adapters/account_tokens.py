"""Knows which bearer tokens of accounts may send rows to a dataset: those whose owner may operate it."""

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import SecretStr

from headrace.access.book import token_id
from headrace.access.policy import Action, Asset
from headrace.access.topic import KnownAccess
from headrace.stream.service import LiveDataset


class AccountTokens:
    """Asks the topic of access, without the gateway. `key` is what tokens are hashed with; without one none is known."""

    def __init__(self, known: KnownAccess, key: SecretStr | None, dataset: Callable[[str], LiveDataset | None]) -> None:
        self._known = known
        self._key = None if key is None else key.get_secret_value().encode()
        self._dataset = dataset

    def __call__(self, bearer: str, name: str) -> bool | None:
        """Whether whoever has this token may send rows to the dataset; None when that is not known yet."""
        if self._key is None or token_id(bearer) is None:
            return False
        if self._known.book is None:
            return None
        caller = self._known.book.bearer(bearer, self._key, datetime.now(UTC))
        live = self._dataset(name)
        asset = Asset(name) if live is None else Asset(name, frozenset(live.contract.tags))
        return caller is not None and caller.access.may(Action.OPERATE, asset)
