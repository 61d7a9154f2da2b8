"""Which columns are likely to hold personal data: by their names, and by what their values look like. A guess, never a proof."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

_MOST: Final = 0.6  # of the values have to look like it


@dataclass(frozen=True, slots=True)
class Personal:
    """What a column seems to hold, and why: `name` or `values`."""

    what: str
    why: str


def personal(name: str, values: Sequence[Any]) -> Personal | None:
    """What personal data a column seems to hold. `values` are some that it has."""
    texts = [value for value in values if isinstance(value, str)]
    for what, looks_like in _VALUES.items():
        if texts and sum(map(looks_like, texts)) >= _MOST * len(texts):
            return Personal(what, "values")
    words = "_".join(re.findall(r"[a-z]+|[0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))
    for what, pattern in _NAMES.items():
        if pattern.search(words):
            return Personal(what, "name")
    return None


def _words(*alternatives: str) -> re.Pattern[str]:
    """Matches any of these as whole words of a column's name."""
    return re.compile(rf"(?:^|_)(?:{'|'.join(alternatives)})(?:_|$)")


_NAMES: Final = {
    "email address": _words("e_?mails?", "mail_address"),
    "phone number": _words("phones?", "telephone", "mobile", "cell_?phone", "fax", "msisdn"),
    "name of a person": _words(
        "(?:first|last|given|family|full|middle|maiden|sur|customer|patient|contact|employee|person)_?name", "surname"
    ),
    "date of birth": _words("birth_?(?:date|day)", "date_of_birth", "dob", "birthday"),
    "national identity number": _words(
        "ssn", "social_security(?:_number)?", "national_id", "tax_id", "passport(?:_no|_number)?"
    ),
    "bank account": _words("iban", "bank_account", "account_number"),
    "payment card": _words("(?:credit_)?card_(?:no|number)", "pan"),
    "address": _words("street", "address(?:_line)?(?:_[0-9])?", "postal_code", "post_?code", "zip(?:_?code)?"),
    "IP address": _words("ip", "ip_?addr(?:ess)?", "client_ip", "remote_addr"),
    "health or origin": _words("gender", "ethnicity", "religion", "diagnosis", "blood_type"),
}


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return not text.isdigit()


def _is_iban(text: str) -> bool:
    """The checksum of ISO 13616."""
    packed = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", packed):
        return False
    return int("".join(str(int(character, 36)) for character in packed[4:] + packed[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """The checksum of ISO/IEC 7812."""
    digits = re.sub(r"[ -]", "", text)
    if not re.fullmatch(r"[2-6][0-9]{12,18}", digits):
        return False
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


_VALUES: Final[dict[str, Callable[[str], bool]]] = {
    "email address": lambda text: bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}", text)),
    "IP address": _is_ip,
    "bank account": _is_iban,
    "payment card": _is_card,
    "phone number": lambda text: bool(re.fullmatch(r"(?:\+|00)[1-9][0-9 ()/.-]{6,18}[0-9]", text)),
}
