"""Decides whether somebody who comes back from an OpenID provider is who they say, and who they are to us.

Source: OpenID Connect Core 1.0, 3.1.3.7 (ID tokens); RFC 9207 (the issuer in the answer); RFC 9700 (mix-up, open redirects).
"""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc.errors import JoseError

from headrace.access.book import AccessBook, Principal
from headrace.access.policy import ROLES, Grant, Role, Scope
from headrace.access.topic import AccessChange

#: What an ID token may be signed with: only what needs the provider's private key. What is checked with a secret that both
#: sides know (HS256) could be made by whoever has the secret, or with a public key in its place.
Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)

LEEWAY_S: Final = 60  # between the provider's clock and ours
_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_GRANT: Final = "oidc-"  # what the ids of grants begin with that come from the settings
_LONGEST_NAME: Final = 100
_LONGEST_PATH: Final = 2000


class RefusedSignInError(Exception):
    """Somebody is not signed in. `code` names the kind in the URN of the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody as a provider knows them: by issuer and subject. Everything else may change, and may be another's tomorrow."""

    issuer: str
    subject: str
    name: str
    email: str
    groups: tuple[str, ...]

    @property
    def principal_id(self) -> str:
        """The id of their principal here."""
        return f"oidc-{_digest(self.issuer, self.subject)}"


@dataclass(frozen=True, slots=True)
class GroupRole:
    """What the members of a group of the provider may do."""

    group: str
    role: Role
    scope: Scope

    @classmethod
    def parse(cls, group: str, text: str) -> "GroupRole":
        """From `role@scope`, such as `engineer@domain:nyc`. Errors: ValueError."""
        name, _, scope = text.partition("@")
        for role in ROLES:
            if role == name:
                return cls(group, role, Scope.parse(scope))
        raise ValueError(f"{text!r} names no role: write <role>@<scope> with one of {', '.join(ROLES)}")

    def grant(self) -> Grant:
        """The grant that says so; the same each time."""
        identity = f"{_GRANT}{_digest(self.group, self.role, str(self.scope))}"
        return Grant(identity, f"group:{self.group}", self.role, self.scope)


def browser_secret(cookie: str | None, new: str) -> str:
    """The secret that a browser keeps while somebody signs in: the one it has, so that several tabs may sign in at a time."""
    return cookie if cookie is not None and _BROWSER.fullmatch(cookie) else new


def verifier_of(browser: str, nonce: str) -> str:
    """The PKCE verifier of a sign-in: only with the secret of the browser that began it can its code be exchanged."""
    return urlsafe_b64encode(hmac.digest(browser.encode(), nonce.encode(), "sha256")).rstrip(b"=").decode()


def local_path(text: str | None) -> str:
    """Where to go after the sign-in: the path, when it is one of this gateway, and otherwise the front page.

    A browser reads `//host`, `/\\host` and a path with tabs or line breaks in it as another host's address.
    """
    path = text or "/"
    plain = path.isascii() and path.isprintable() and " " not in path and "\\" not in path
    if not plain or len(path) > _LONGEST_PATH or not path.startswith("/") or path.startswith("//"):
        return "/"
    return path


def trusted_url(url: str) -> bool:
    """Whether a provider may be asked there: by https, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(host)) or (
        parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost")
    )


def check_issuer(said: Sequence[str], issuer: str, announced: bool) -> None:
    """Whether an answer comes from the provider that was asked (RFC 9207). `announced`: the provider says that it tells.

    Errors: RefusedSignInError.
    """
    if (said or announced) and list(said) != [issuer]:
        raise RefusedSignInError("sign-in-issuer", f"the answer does not say that it comes from {issuer}: begin anew")


def checked(
    claims: Mapping[str, Any],
    header: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access: str,
    now_s: int,
) -> Mapping[str, Any]:
    """The claims of an ID token whose signature is good, when it was made for this sign-in. Errors: RefusedSignInError."""
    expected = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
    }
    asked = {"nonce": nonce, "client_id": client_id, "access_token": access}
    token = CodeIDToken(dict(claims), dict(header), expected, asked)
    try:
        token.validate(now_s, LEEWAY_S)
    except JoseError as error:
        raise refused_token(str(error)) from error
    return dict(claims)


def refused_token(why: str) -> RefusedSignInError:
    """What is said about an ID token that does not count."""
    return RefusedSignInError("sign-in-token", f"the provider's ID token does not count here: {why}; begin anew")


def account(claims: Mapping[str, Any], groups_claim: str) -> Account:
    """Who the claims of a checked ID token tell of."""
    names = (_words(claims.get(claim)) for claim in ("name", "preferred_username", "email", "sub"))
    groups = sorted(set(_groups(claims, groups_claim)))
    name = next(filter(None, names), "somebody")[:_LONGEST_NAME]
    return Account(claims["iss"], claims["sub"], name, _words(claims.get("email")), tuple(groups))


def _groups(claims: Mapping[str, Any], claim: str) -> list[str]:
    """The texts in a claim, which is named whole or, as `realm_access.roles`, by the way to it."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return [group for group in listed if isinstance(group, str) and group and group.isprintable()]


def check_admitted(somebody: Account, roles: Sequence[GroupRole], only_mapped: bool, book: AccessBook) -> None:
    """Whether they may sign in. Errors: RefusedSignInError."""
    known = book.principals.get(somebody.principal_id)
    if known is not None and not known.active:
        raise RefusedSignInError("sign-in-inactive", f"{known.name} may not sign in any more: ask an administrator")
    if only_mapped and not {role.group for role in roles} & set(somebody.groups):
        raise RefusedSignInError(
            "sign-in-not-admitted",
            f"{somebody.name} is in no group that may sign in here: ask an administrator for one",
        )


def changes(somebody: Account, roles: Sequence[GroupRole], book: AccessBook) -> list[AccessChange]:
    """What has to be written so that they stand as the provider knows them now, and the groups' roles as they are set."""
    wanted = {grant.id: grant for grant in (role.grant() for role in roles)}
    principal = _principal(somebody, book)
    written: list[AccessChange] = []
    if book.principals.get(principal.id) != principal:
        written.append(AccessChange(principal))
    written += [AccessChange(grant) for grant in wanted.values() if book.grants.get(grant.id) != grant]
    former = (grant for grant in book.grants.values() if grant.id.startswith(_GRANT) and grant.id not in wanted)
    return written + [AccessChange(grant, gone=True) for grant in former]


def _principal(somebody: Account, book: AccessBook) -> Principal:
    """Their principal. A name that is another's already is told apart: a name is what people and logs see."""
    name = somebody.name
    if book.is_taken(name, but_for=somebody.principal_id):
        name = f"{name} ({somebody.principal_id[-8:]})"
    groups = somebody.groups
    known = book.principals.get(somebody.principal_id)
    if known is not None:
        return replace(known, name=name, email=somebody.email, groups=groups)
    return Principal(somebody.principal_id, "user", name, somebody.email, groups)


def _words(value: object) -> str:
    """A text of the provider on one line; nothing when it is none."""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split()) if isinstance(value, str) else ""


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
