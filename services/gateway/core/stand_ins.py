"""What stands in a made test for a value that nobody else is to see: one of the same shape.

A stand-in is computed from the value's shape and from which value of the row it is, never from the value itself, so that it
cannot be guessed back. The same value has the same one everywhere in a test, so that rows still find each other.
"""

import math
import re
from collections.abc import Callable, Collection
from datetime import date, timedelta
from hashlib import shake_256
from typing import Any, Final
from unicodedata import category

from headrace.contract.likely_personal import personal

_DIGITS: Final = "0123456789"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_TIME: Final = re.compile(
    r"([T ])([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:([.,])([0-9]+))?)?( ?(?:Z|[+-][0-9:]{2,6}|UTC))?"
)
#: Addresses and numbers within a longer text.
_WITHIN: Final = re.compile(r"[^@\s<>\"',;:()]+@[^@\s<>\"',;:()]+\.[A-Za-z]{2,}|(?:\+|\b00)[1-9][0-9 ()/.-]{6,18}[0-9]")
_TRIES: Final = 5000
_SPANS: Final = ((date(2016, 1, 1), 3650), (date(1950, 1, 1), 18_000))  # where days are drawn from, by turns
_SHORTEST_KEPT: Final = 3


class StandIns:
    """The stand-ins of one test. `salt` gives others; `kept` are texts that the dataset file itself says: they stay."""

    def __init__(self, salt: int = 0, kept: Collection[str] = ()) -> None:
        self._salt = salt
        self._kept = frozenset(kept)
        self._parts = sorted(
            {part for text in kept if len(part := text.strip("%_")) >= _SHORTEST_KEPT}, key=lambda part: -len(part)
        )
        self._numbers: dict[str, int] = {}

    def of(self, value: Any) -> Any:
        """The stand-in of a value, of its type; of a list or a mapping with one for each value in it."""
        match value:
            case None:
                return value
            case bool():
                return self._drawn(value, 0) % 2 == 1
            case int() | float():
                return self._number(value)
            case str():
                return value if value in self._kept else self._text(value)
            case list():
                return [self.of(each) for each in value]
            case dict():
                return {self._key(name): self.of(each) for name, each in value.items()}
        return value

    def within(self, value: Any, shortest: int = 1) -> Any:
        """A value, with stand-ins for what is personal by its looks, by the name it has within another, or has one already.

        Values of fewer characters than `shortest` are equal by chance, and have none because of that.
        """
        match value:
            case None | bool():
                return value
            case list():
                return [self.within(each, shortest) for each in value]
            case dict():
                return {self._key(name): self._field(name, each, shortest) for name, each in value.items()}
        if len(str(value)) >= shortest and self._identity(value) in self._numbers:
            return self.of(value)
        if not isinstance(value, str) or value in self._kept:
            return value
        if personal("", [value]) is not None:
            return self._text(value)
        return _WITHIN.sub(lambda found: self._text(found[0]), value)

    def _field(self, name: str, value: Any, shortest: int) -> Any:
        return self.within(value, shortest) if personal(name, [value]) is None else self.of(value)

    def _key(self, name: str) -> str:
        """A name within a value: of a map it may be personal itself."""
        return name if personal("", [name]) is None else str(self.of(name))

    def _identity(self, value: Any) -> str:
        return str(value).strip().lower()

    def _stream(self, value: Any, attempt: int, size: int) -> bytes:
        number = self._numbers.setdefault(self._identity(value), len(self._numbers))
        return shake_256(f"{self._salt}:{number}:{attempt}".encode()).digest(max(size, 8))

    def _text(self, text: str) -> str:
        kind = personal("", [text])
        made = text
        for attempt in range(_TRIES):
            made = self._tried(text, attempt)
            if made != text and (kind is None or personal("", [made]) == kind):
                break
        return made

    def _tried(self, text: str, attempt: int) -> str:
        digits = 16 if _UUID.fullmatch(text) else 10
        blanks = len(text) - len(text.lstrip())
        stream = self._stream(text, attempt, len(text))
        made = [_other(each, stream[at - blanks], digits == 16) for at, each in enumerate(text)]
        for part in self._parts:
            for found in re.finditer(re.escape(part), text):
                made[found.start() : found.end()] = part
        if day := _DAY.match(text):
            return self._day(text, day[0], "".join(made), attempt)
        return "".join(made)

    def _day(self, text: str, day: str, made: str, attempt: int) -> str:
        """A text that begins with a day: another day, at another time if it says one; `made` is what else it is."""
        drawn = self._drawn(text, attempt)
        try:
            date.fromisoformat(day)
        except ValueError:
            return text.translate(str.maketrans(_DIGITS, "1" * 10))
        # Not so many days earlier or later: from that anybody finds the value again.
        begins, days = _SPANS[self._salt % len(_SPANS)]
        other = (begins + timedelta(days=drawn % days)).isoformat()
        rest = text[len(day) :]
        time = _TIME.fullmatch(rest)
        if time is None:
            return other + made[len(day) :]
        if not rest.translate(str.maketrans("", "", "0")).strip("T :.,Z"):  # a day alone, as a time
            return other + rest
        between, _, _, second, point, fraction, zone = time.groups()
        clock = f"{between}{drawn // 20_000 % 24:02}:{drawn // 1_000_000 % 60:02}"
        clock += f":{drawn // 100_000_000 % 60:02}" if second else ""
        clock += (
            f"{point}{''.join(_other(each, drawn >> at, False) for at, each in enumerate(fraction))}" if point else ""
        )
        return other + clock + (zone or "")

    def _drawn(self, value: Any, attempt: int) -> int:
        return int.from_bytes(self._stream(value, attempt, 8)[:8])

    def _number(self, value: float) -> float:
        """Of as many digits, with the same sign."""
        read: Callable[[str], float] = int if isinstance(value, int) else float
        text = repr(value)
        changed = "123456789" if any(each in text for each in "123456789") else _DIGITS
        for attempt in range(_TRIES):
            stream = self._stream(value, attempt, len(text))
            made = read("".join(str(1 + stream[at] % 9) if each in changed else each for at, each in enumerate(text)))
            if made != value and math.isfinite(made):
                return made
        return value


def _other(character: str, drawn: int, hexadecimal: bool) -> str:
    """Another character of the same kind; what is neither letter nor digit stays."""
    if character in _DIGITS:
        return _DIGITS[drawn % 10] if character == "0" else _DIGITS[1 + drawn % 9]
    if not character.isalpha():
        return character if character.isascii() or category(character)[0] not in "MN" else _DIGITS[1 + drawn % 9]
    letters = _LETTERS[:6] if hexadecimal else _LETTERS
    letter = letters[drawn % len(letters)]
    return letter.upper() if character.isupper() else letter
