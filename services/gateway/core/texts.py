"""Decides which texts people may write beside a dataset: any, but for characters that nobody can read."""

import unicodedata
from typing import Final

MOST_CHARACTERS: Final = 10_000
_LINES: Final = "\n\t"
_DIRECTIONS: Final = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they show a text otherwise than it is


def plain_text(text: str) -> str:
    """The text. Errors: ValueError when it has control characters, halves of pairs, or such as turn its direction."""
    for place, each in enumerate(text):
        unreadable = unicodedata.category(each) in ("Cc", "Cs") or each in _DIRECTIONS
        if unreadable and each not in _LINES:
            raise ValueError(f"the character U+{ord(each):04X} at {place} cannot be read by people: leave it out")
    return text


def said(text: str) -> str:
    """The text. Errors: ValueError when there is nothing in it to read, or those of `plain_text`."""
    if not text.strip():
        raise ValueError("there is nothing in it to read")
    return plain_text(text)
