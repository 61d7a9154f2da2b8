"""Decides what stands against a sign-in, a password or a one-time code, and who is missing in the book."""

from ipaddress import ip_address

from headrace.access.book import AccessBook, Principal
from headrace.access.policy import Action
from headrace.errors import HeadraceError


class SignInRefused(HeadraceError):
    """The name or the password is wrong; it does not say which."""


class TooManyAttempts(HeadraceError):
    """Too many sign-ins have failed. The next one is looked at after `wait_s`."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many sign-ins have failed: try again in {wait_s} s")
        self.wait_s = wait_s


class PasswordRefused(HeadraceError):
    """The new password will not do. The message says why, and does not show it."""


class CodeRefused(HeadraceError):
    """The one-time code is worth nothing: it is unknown, used or too old."""


def person_named(book: AccessBook, name: str) -> Principal | None:
    """The active person of this name; names are those of one only, in any spelling."""
    wanted = name.strip().casefold()
    return next(
        (
            each
            for each in book.principals.values()
            if each.active and each.kind == "user" and each.name.casefold() == wanted
        ),
        None,
    )


def administrators(book: AccessBook) -> list[Principal]:
    """The active people who may administer everything."""
    found = (book.caller(each.id) for each in book.principals.values() if each.kind == "user")
    return [each.principal for each in found if each is not None and each.access.may_everywhere(Action.ADMIN)]


def counted_address(address: str) -> str:
    """As what failures from an address count: an IPv6 address as its network, of which anybody has any number."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 6 and parsed.ipv4_mapped is None:
        return (parsed.packed[:8]).hex()
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
