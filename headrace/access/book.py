"""Who there is, what they were granted, and which tokens they made: what a bearer token is worth."""

import hmac
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal

from headrace.access.policy import Access, Action, Grant, Limit, Scope

#: Who has the administrator's token of the settings.
ADMIN: Final = "admin"
_PREFIX: Final = "hr"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who can be granted something: a person, or a program with an account of its own.

    `name` is what is shown and logged.
    """

    id: str
    kind: Literal["user", "service"]
    name: str
    email: str = ""
    groups: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: `digest` is its keyed hash, `actions` and `scopes` narrow what its owner may do.

    `made_with` is the id of the token it was made with, if it was with one: it ends with that one.
    """

    id: str
    owner: str
    name: str
    digest: bytes
    created_at: datetime
    expires_at: datetime | None
    actions: tuple[Action, ...]
    scopes: tuple[Scope, ...]
    made_with: str = ""

    @property
    def limit(self) -> Limit:
        """To what it narrows its owner's access."""
        return Limit(frozenset(self.actions), self.scopes)


Entry = Principal | Grant | Token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and what they may do. `token` is the token they used, if it was one."""

    principal: Principal
    access: Access
    token: Token | None = None

    @property
    def name(self) -> str:
        """As it is shown and logged."""
        return self.principal.name


@dataclass(frozen=True, slots=True)
class AccessBook:
    """All that stands, by id. A principal that is gone or not active may do nothing, whatever else stands."""

    principals: dict[str, Principal] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    _granted: dict[str, list[Grant]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "AccessBook":
        """The book with these entries."""
        book = cls()
        for entry in entries:
            match entry:
                case Principal():
                    book.principals[entry.id] = entry
                case Grant():
                    book.grants[entry.id] = entry
                    book._granted[entry.to].append(entry)
                case Token():
                    book.tokens[entry.id] = entry
        return book

    def standing(self, entry: Entry) -> Entry | None:
        """What stands in the place of an entry: that of its kind with its id."""
        match entry:
            case Principal():
                return self.principals.get(entry.id)
            case Grant():
                return self.grants.get(entry.id)
            case Token():
                return self.tokens.get(entry.id)

    def named(self, name: str) -> Principal | None:
        """Somebody by their id, or by their name in any spelling; an id counts before a name."""
        wanted = name.strip().casefold()
        by_name = (each for each in self.principals.values() if each.name.casefold() == wanted)
        return self.principals.get(name) or next(by_name, None)

    def is_taken(self, name: str, but_for: str) -> bool:
        """Whether a name is that of anybody but for the one with this id, or of the administrator of the settings."""
        wanted = name.casefold()
        return wanted == ADMIN or any(
            each.name.casefold() == wanted for each in self.principals.values() if each.id != but_for
        )

    def caller(self, principal_id: str, token: Token | None = None) -> Caller | None:
        """What somebody may do now; None when there is nobody active with this id."""
        principal = self.principals.get(principal_id)
        if principal is None or not principal.active:
            return None
        theirs = (f"user:{principal.id}", *(f"group:{group}" for group in dict.fromkeys(principal.groups)))
        grants = tuple(grant for to in theirs for grant in self._granted.get(to, ()))
        return Caller(principal, Access(grants, None if token is None else token.limit), token)

    def descended(self, token_id: str) -> list[Token]:
        """A token, and all that were made with it, or with those."""
        found = [self.tokens[token_id]] if token_id in self.tokens else []
        for each in found:  # it grows meanwhile
            found.extend(token for token in self.tokens.values() if token.made_with == each.id and token not in found)
        return found

    def bearer(self, bearer: str, key: bytes, now: datetime) -> Caller | None:
        """Whose token this is, and what it is worth now; None when nothing."""
        token = self.tokens.get(token_id(bearer) or "")
        if token is None or not hmac.compare_digest(token.digest, digest(key, bearer)):
            return None
        if token.expires_at is not None and token.expires_at <= now:
            return None
        return self.caller(token.owner, token)


def new_bearer(identity: str) -> str:
    """A new bearer token with 256 random bits, under the id of its record."""
    return f"{_PREFIX}_{identity}_{secrets.token_urlsafe(32)}"


def token_id(bearer: str) -> str | None:
    """The id in a bearer token; None when it is none of ours."""
    prefix, _, rest = bearer.partition("_")
    return rest.partition("_")[0] if prefix == _PREFIX else None


def digest(key: bytes, bearer: str) -> bytes:
    """The keyed hash of a bearer token: all that is kept of it."""
    return hmac.digest(key, bearer.encode(), sha256)
