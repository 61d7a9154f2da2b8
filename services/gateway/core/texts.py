"""Decides which texts people may write beside a dataset: any, but for characters that are none. They are stored as they are."""

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_LINES: Final = "\n\t"
MOST_CHARACTERS: Final = 10_000


def plain_text(text: str) -> str:
    """The text. Errors: ValueError when something in it is no character to read: control characters, halves of pairs."""
    for place, each in enumerate(text):
        if each not in _LINES and unicodedata.category(each) in ("Cc", "Cs"):
            raise ValueError(f"the character U+{ord(each):04X} at {place} cannot be read by people: leave it out")
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("there is nothing in it to read")
    return plain_text(text)


#: What somebody writes; it may be empty, which takes it away.
Text = Annotated[str, Field(max_length=MOST_CHARACTERS), AfterValidator(plain_text)]
#: What somebody says.
Said = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS), AfterValidator(_said)]
