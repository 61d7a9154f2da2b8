"""Decides which passwords are refused: short ones, and what is guessed first. Source: NIST SP 800-63B, 5.1.1.2."""

import re
from typing import Final
from unicodedata import normalize

MIN_CHARS: Final = 12
MAX_CHARS: Final = 1000  # what is longer only costs time

_LEAST_LEFT: Final = 6
_LEAST_DISTINCT: Final = 5
_RUNS: Final = ("0123456789012345", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop")
_NEIGHBOURS: Final = frozenset(
    way[at : at + 2] for run in _RUNS for way in (run, run[::-1]) for at in range(len(run) - 1)
)
_RUN_CHARS: Final = 4
_WORDS: Final = (
    "headrace", "password", "passwort", "passphrase", "administrator", "welcome", "willkommen", "letmein", "changeme",
    "iloveyou", "monkey", "dragon", "football", "baseball", "superman", "trustno", "sunshine", "princess", "secret",
    "geheim", "summer", "winter", "spring", "autumn", "login", "admin", "master", "guest", "default", "hello", "test",
)  # fmt: skip
_LOOKALIKES: Final = str.maketrans({"@": "a", "4": "a", "3": "e", "1": "i", "!": "i", "0": "o", "$": "s", "5": "s"})


def canonical(password: str) -> str:
    """The password, however a keyboard composes its characters."""
    return normalize("NFKC", password)


def why_refused(password: str, name: str) -> str | None:
    """What stands against this password for somebody of that name; None when nothing does."""
    password = canonical(password)
    if len(password) < MIN_CHARS:
        return f"it has {len(password)} characters: take at least {MIN_CHARS}, for example four words"
    if len(password) > MAX_CHARS:
        return f"it has {len(password)} characters: take at most {MAX_CHARS}"
    left = _unguessed(password.casefold(), name.casefold())
    if len(left) < _LEAST_LEFT or len(set(left)) < _LEAST_DISTINCT:
        return "it is one of those that are guessed first (a name, a common word, keys in a row, repetitions): take four words"
    return None


def _unguessed(password: str, name: str) -> str:
    """What is left of it without names, common words and keys in a row."""
    for part in sorted(re.findall(r"\w{3,}", name), key=len, reverse=True):
        password = password.replace(part, "")
    password = _without_runs(password)
    plain = password.translate(_LOOKALIKES)
    for word in _WORDS:
        while (at := plain.find(word)) >= 0:
            plain, password = plain[:at] + plain[at + len(word) :], password[:at] + password[at + len(word) :]
    return password


def _without_runs(password: str) -> str:
    """The password without keys that follow each other."""
    kept, run = "", password[:1]
    for character in password[1:]:
        if run[-1] + character in _NEIGHBOURS:
            run += character
        else:
            kept, run = kept + (run if len(run) < _RUN_CHARS else ""), character
    return kept + (run if len(run) < _RUN_CHARS else "")
