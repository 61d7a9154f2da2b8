"""Who a request comes from: decided by what stands in the topic of access, and by the administrator's token of the settings."""

import hmac
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy import Engine, select

from headrace.access.book import ADMIN, AccessBook, Caller, Entry, Principal, Token, digest, new_bearer, token_id
from headrace.access.policy import EVERYTHING, Access, Action, Grant, Scope
from headrace.access.topic import AccessChange, AccessLog, KnownAccess
from headrace.errors import Fatal, Transient
from services.gateway.adapters.dataset_store import put
from services.gateway.adapters.tables import TOKEN_USES

_SEEN_S: Final = 5.0
_ARRIVING_S: Final = 2.0
_USE_KEPT: Final = timedelta(minutes=1)

#: Whoever has the administrator's token of the settings: it works while nothing else does.
ADMINISTRATOR: Final = Caller(
    Principal(ADMIN, "service", ADMIN), Access((Grant(ADMIN, f"user:{ADMIN}", "admin", EVERYTHING),))
)


class AccessDesk:
    """Knows callers, and writes what becomes of them. Safe to share between threads."""

    def __init__(self, engine: Engine, known: KnownAccess, log: AccessLog, admin_token: SecretStr, key: bytes) -> None:
        self._engine = engine
        self._known = known
        self._log = log
        self._key = key
        self._admin = digest(key, admin_token.get_secret_value())
        self._used: dict[str, datetime] = {}
        self._noting = threading.Lock()

    @property
    def book(self) -> AccessBook:
        """What stands. Errors: Transient while nothing was read yet."""
        if self._known.book is None:
            raise Transient("who may do what is not known yet: Kafka has not been reached since this gateway started")
        return self._known.book

    def arriving(self, principal_id: str) -> Caller | None:
        """What somebody may do whom another gateway may have let in a moment ago: they are waited for. Errors: Transient."""
        self._known.wait_until(lambda book: book.caller(principal_id) is not None, _ARRIVING_S)
        return self.book.caller(principal_id)

    def bearer(self, bearer: str, now: datetime) -> Caller | None:
        """Whose bearer token this is; None when nobody's. Errors: Transient when that cannot be told yet."""
        if hmac.compare_digest(digest(self._key, bearer), self._admin):
            return ADMINISTRATOR
        if token_id(bearer) is None:
            return None
        caller = self.book.bearer(bearer, self._key, now)
        if caller is not None and caller.token is not None:
            self._note_use(caller.token.id, now)
        return caller

    def change(self, by: str, at: datetime, decide: Callable[[AccessBook], Sequence[AccessChange]]) -> None:
        """Write what `decide` makes of what stands, and wait until it is known here.

        Errors: whatever `decide` raises; Transient, also when another was quicker (nothing is written in either case).
        """
        written = self._log.change(by, at, decide)
        self._known.wait_until(lambda book: all(_shows(book, change) for change in written), _SEEN_S)

    def put(self, by: str, at: datetime, entry: Entry) -> None:
        """Write one entry, new or changed. Errors: Transient."""
        self.change(by, at, lambda _: [AccessChange(entry)])

    def remove(self, by: str, at: datetime, entry: Entry) -> None:
        """Take one entry away. Errors: Transient."""
        self.change(by, at, lambda _: [AccessChange(entry, gone=True)])

    def add_principal(self, by: str, at: datetime, principal: Principal) -> None:
        """Add somebody. Errors: Fatal when the name is taken; Transient."""

        def decide(book: AccessBook) -> Sequence[AccessChange]:
            refuse_taken(book, principal)
            return [AccessChange(principal)]

        self.change(by, at, decide)

    def change_principal(self, by: str, at: datetime, id: str, **fields: object) -> Principal | None:
        """Change some fields of somebody; None when there is nobody. Errors: Fatal when the name is taken; Transient."""
        changed: list[Principal] = []

        def decide(book: AccessBook) -> Sequence[AccessChange]:
            if (standing := book.principals.get(id)) is None:
                return []
            principal = replace(standing, **fields)  # type: ignore[arg-type]
            refuse_taken(book, principal)
            changed.append(principal)
            return [AccessChange(principal)]

        self.change(by, at, decide)
        return changed[0] if changed else None

    def remove_principal(self, by: str, at: datetime, id: str) -> bool:
        """Take somebody away, with their grants and tokens. Returns whether there was anybody. Errors: Transient."""
        found = False

        def decide(book: AccessBook) -> Sequence[AccessChange]:
            nonlocal found
            if (principal := book.principals.get(id)) is None:
                return []
            found = True
            granted = [grant for grant in book.grants.values() if grant.to == f"user:{id}"]
            tokens = [token for token in book.tokens.values() if token.owner == id]
            entries: list[Entry] = [*tokens, *granted, principal]
            return [AccessChange(entry, gone=True) for entry in entries]

        self.change(by, at, decide)
        return found

    def new_token(
        self,
        by: str,
        at: datetime,
        owner: str,
        name: str,
        actions: Sequence[Action],
        scopes: Sequence[Scope],
        expires_at: datetime | None,
        made_with: str = "",
    ) -> tuple[Token, str]:
        """A new token and its secret, which is never shown again. Errors: Transient."""
        identity = secrets.token_hex(8)
        bearer = new_bearer(identity)
        kept = digest(self._key, bearer)
        token = Token(identity, owner, name, kept, at, expires_at, tuple(actions), tuple(scopes), made_with)
        self.put(by, at, token)
        return token, bearer

    def revoke_token(self, by: str, at: datetime, token_id: str) -> None:
        """Make a token worthless, and those that were made with it. Errors: Transient."""
        self.change(by, at, lambda book: [AccessChange(token, gone=True) for token in book.descended(token_id)])

    def uses(self) -> dict[str, datetime]:
        """When each token was last used, by its id; to the minute."""
        with self._engine.connect() as connection:
            return {row.id: row.last_used_at for row in connection.execute(select(TOKEN_USES))}

    def _note_use(self, identity: str, now: datetime) -> None:
        """Remember that a token was used, at most once a minute."""
        with self._noting:
            if now - self._used.get(identity, datetime.min.replace(tzinfo=now.tzinfo)) < _USE_KEPT:
                return
            self._used[identity] = now
        with self._engine.begin() as connection:
            put(connection, TOKEN_USES, {"id": identity, "last_used_at": now})


def refuse_taken(book: AccessBook, principal: Principal) -> None:
    """Go on only if nobody else has the name. Errors: Fatal."""
    if book.is_taken(principal.name, but_for=principal.id):
        raise Fatal(f"the name {principal.name} is taken: choose another")


def _shows(book: AccessBook, change: AccessChange) -> bool:
    return book.standing(change.entry) == (None if change.gone else change.entry)


def kept_key(path: Path) -> bytes:
    """The key in the file, which is made on first use and readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{secrets.token_hex(4)}")
        made.touch(mode=0o600)
        made.write_bytes(secrets.token_bytes(32))
        with suppress(FileExistsError):  # another gateway may have been quicker: then its key counts
            path.hardlink_to(made)
        made.unlink()
    return path.read_bytes()
