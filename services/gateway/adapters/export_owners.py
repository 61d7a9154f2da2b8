"""Decides, each time anew, what the owner of an export may export: by the grants and the token that stand now."""

from datetime import datetime

from headrace.access.book import Caller
from headrace.access.policy import Action, Sight
from services.gateway.adapters.access_desk import ADMINISTRATOR, AccessDesk
from services.gateway.adapters.assets import Assets


class ExportOwners:
    """Those who asked for exports. Errors: Transient while it is not known who may do what."""

    def __init__(self, desk: AccessDesk, assets: Assets) -> None:
        self._desk = desk
        self._assets = assets

    def sight(self, owner: str, token: str | None, dataset: str, now: datetime) -> Sight | None:
        """What somebody may export of a dataset now; None when nothing, or when the token they used is worth nothing any more."""
        caller = self._caller(owner, token, now)
        return None if caller is None else caller.access.sight(Action.EXPORT, self._assets.of(dataset))

    def _caller(self, owner: str, token_id: str | None, now: datetime) -> Caller | None:
        if owner == ADMINISTRATOR.principal.id:
            return ADMINISTRATOR
        book = self._desk.book
        if token_id is None:
            return book.caller(owner)
        token = book.tokens.get(token_id)
        if token is None or (token.expires_at is not None and token.expires_at <= now):
            return None
        return book.caller(owner, token)
