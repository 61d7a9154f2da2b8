"""How a value has to be written to have a well-known format: an RE2 pattern for the whole of it, and what no pattern can say.

Each is stated by the standard it names, less what nobody writes (quoted mail addresses, zones of addresses).
"""

from dataclasses import dataclass
from typing import Final

from headrace.contract import FormatName
from headrace.transform.iso_codes import COUNTRIES, CURRENCIES, WITHDRAWN
from headrace.transform.quoting import literal

#: Beyond ASCII any character that can be seen may stand. Naming the letters of all alphabets (`\p{L}`) would make a pattern slow
#: to compile, which is done for each batch. Left out: controls, spaces, what turns the direction, surrogates, private use.
_BEYOND: Final = (
    r"\x{A1}-\x{AC}\x{AE}-\x{167F}\x{1681}-\x{1FFF}\x{2010}-\x{2027}\x{2030}-\x{205E}\x{2070}-\x{2FFF}"
    r"\x{3001}-\x{D7FF}\x{F900}-\x{FEFE}\x{FF00}-\x{FFEF}\x{10000}-\x{DFFFF}"
)
_LETTERS: Final = f"A-Za-z0-9{_BEYOND}"
_LABEL: Final = f"[{_LETTERS}](?:[{_LETTERS}-]*[{_LETTERS}])?"
_TOP: Final = (
    f"[A-Za-z{_BEYOND}](?:[{_LETTERS}-]*[{_LETTERS}])?"  # begins with a letter: what ends in a number is an address
)
_HOST: Final = rf"(?:{_LABEL}\.)*{_TOP}"
_ATOM: Final = rf"[{_LETTERS}!#$%&'*+/=?^_`{{|}}~-]+"
_EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}"

_BYTE: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"(?:{_BYTE}\.){{3}}{_BYTE}"
_PIECE: Final = "[0-9A-Fa-f]{1,4}"
_LAST_TWO: Final = f"(?:{_PIECE}:{_PIECE}|{_IPV4})"
#: Source: RFC 3986, appendix A, IPv6address.
_IPV6: Final = "|".join(
    (
        f"(?:{_PIECE}:){{6}}{_LAST_TWO}",
        f"::(?:{_PIECE}:){{5}}{_LAST_TWO}",
        *(f"(?:(?:{_PIECE}:){{0,{n}}}{_PIECE})?::(?:{_PIECE}:){{{4 - n}}}{_LAST_TWO}" for n in range(5)),
        f"(?:(?:{_PIECE}:){{0,5}}{_PIECE})?::{_PIECE}",
        f"(?:(?:{_PIECE}:){{0,6}}{_PIECE})?::",
    )
)

_OCTET: Final = "%[0-9A-Fa-f]{2}"
_OF_USER: Final = rf"(?:{_OCTET}|[A-Za-z0-9{_BEYOND}._~!$&'()*+,;=:-])*@"
_OF_PATH: Final = rf"[/?#](?:{_OCTET}|[A-Za-z0-9{_BEYOND}._~!$&'()*+,;=:@/?#\[\]-])*"
_URL: Final = rf"(?i:https?)://(?:{_OF_USER})?(?:{_HOST}\.?|{_IPV4}|\[(?:{_IPV6})\])(?::[0-9]{{1,5}})?(?:{_OF_PATH})?"

_DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_OFFSET: Final = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
_EXISTS: Final = "left({value}, 4) <> '0000' AND ({value} IS NULL OR TRY_CAST(left({value}, 10) AS DATE) IS NOT NULL)"


@dataclass(frozen=True, slots=True)
class Format:
    """`expected` says what a value should have been; `also` is a condition on `{value}` beside the pattern."""

    expected: str
    pattern: str
    also: str | None = None

    def condition(self, value: str) -> str:
        """The DuckDB expression that is true of a text that has the format, null of null."""
        matches = f"regexp_full_match({value}, {literal(self.pattern)})"
        return f"{matches} AND {self.also.format(value=value)}" if self.also else matches


FORMATS: Final[dict[FormatName, Format]] = {
    "email": Format(
        "a mail address, such as ada@example.com",
        _EMAIL,
        # RFC 5321, section 4.5.3.1, less the brackets of a path
        "strlen({value}) <= 254 AND strlen(split_part({value}, '@', 1)) <= 64",
    ),
    "url": Format("an address of the web, such as https://example.com/a?b=1", _URL),
    "hostname": Format("a host name, such as www.example.com", _HOST, "strlen({value}) <= 253"),
    "ip": Format("an IP address, such as 192.0.2.1 or 2001:db8::1", f"{_IPV4}|{_IPV6}"),
    "ipv4": Format("an IPv4 address, such as 192.0.2.1", _IPV4),
    "ipv6": Format("an IPv6 address, such as 2001:db8::1", _IPV6),
    "uuid": Format(
        "a UUID, such as c9bf9e57-1685-4c89-bafb-ff5af830be8a", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
    ),
    "phone": Format("a phone number of E.164, such as +442071838750", r"\+[1-9][0-9]{6,14}"),
    "country": Format("a country code of ISO 3166-1, such as CH", COUNTRIES.replace(" ", "|")),
    "currency": Format("a currency code of ISO 4217, such as EUR", f"{CURRENCIES} {WITHDRAWN}".replace(" ", "|")),
    "date": Format("a date as YYYY-MM-DD", _DAY, _EXISTS),
    "datetime": Format(
        "a date and time of RFC 3339, such as 2026-03-01T09:30:00Z", f"{_DAY}T{_CLOCK}{_OFFSET}", _EXISTS
    ),
}
