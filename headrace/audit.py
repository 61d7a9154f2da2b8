"""The chain of the audit log: what an entry is, what its hash covers, and whether chains are whole.

Every gateway process writes a chain of its own. An entry's hash is SHA-256 over all its other fields, the hash of the entry
before among them; the newest hash of each chain is anchored elsewhere, as what is cut off at the end leaves a chain whole.
See docs/decisions/0038-the-audit-is-a-chain-for-each-gateway-anchored-in-a-topic.md.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from itertools import groupby
from typing import Any, Final, Literal

_FORMAT: Final = "headrace.audit.1"
GENESIS: Final = "0" * 64  # stands before the first entry of a chain
_GRACE_US: Final = 60_000_000  # a chain that has just begun is announced within that

Kind = Literal["changed", "missing", "misplaced", "rewritten", "truncated", "behind-the-end", "unknown-writer"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the audit log.

    `phase` is begun, ended, or whole (a refusal: nothing began). Entries of one act share its `id`. `datasets` and `details` are
    JSON, kept as text: what is hashed is what is stored. Units: `at_us` microseconds since 1970, UTC; `status` HTTP, 0 while
    it is not known.
    """

    writer: str
    seq: int
    prev_hash: str
    hash: str
    id: str
    phase: str
    at_us: int
    actor: str
    actor_id: str
    credential: str
    action: str
    datasets: str
    address: str
    user_agent: str
    request_id: str
    status: int
    outcome: str
    details: str


FIELDS: Final = tuple(field.name for field in fields(Entry))
_HASHED: Final = tuple(name for name in FIELDS if name != "hash")


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain, as it was anchored. `closed`: its writer has ended, nothing comes behind it."""

    writer: str
    seq: int
    hash: str
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong with a chain."""

    kind: Kind
    writer: str
    seq: int
    message: str


@dataclass(frozen=True, slots=True)
class Chain:
    """What became of checking a chain. `unproven` entries stand behind its anchored head: they could be cut off unseen."""

    writer: str
    entries: int
    anchored: int | None
    unproven: int
    finding: Finding | None


def sealed(entry: Entry) -> Entry:
    """The entry with its hash."""
    return replace(entry, hash=digest(entry))


def digest(entry: Entry) -> str:
    """SHA-256, as hexadecimal digits, over all fields but the hash.

    They are written as a JSON array, in their order, behind the name of this format: no spaces, everything beyond ASCII escaped.
    Errors: TypeError when a field is no text and no number.
    """
    values = [_FORMAT, *(getattr(entry, name) for name in _HASHED)]
    return sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()


def entry_of(values: Mapping[str, Any]) -> Entry:
    """The entry with these fields. Errors: KeyError."""
    return Entry(**{name: values[name] for name in FIELDS})


def verified(entries: Iterable[Entry], heads: Mapping[str, Head] | None, now_us: int) -> Iterator[Chain]:
    """Check every chain. `entries` come by writer and number; without `heads` nothing is known of what was cut off."""
    seen: set[str] = set()
    for writer, chain in groupby(entries, lambda entry: entry.writer):
        yield _checked(str(writer), chain, heads, now_us, again=writer in seen)
        seen.add(writer)
    for head in sorted((heads or {}).values(), key=lambda head: head.writer):
        if head.writer not in seen and head.seq > 0:
            message = f"all {head.seq} entries of this chain are gone"
            yield Chain(head.writer, 0, head.seq, 0, Finding("truncated", head.writer, 1, message))


def _checked(
    writer: str, entries: Iterable[Entry], heads: Mapping[str, Head] | None, now_us: int, *, again: bool
) -> Chain:
    head = heads.get(writer) if heads is not None else None
    finding = Finding("misplaced", writer, 0, "the chain is in two pieces") if again else None
    before, count, first_us = GENESIS, 0, now_us
    for entry in entries:
        count += 1
        if count == 1:
            first_us = entry.at_us if isinstance(entry.at_us, int) else 0
        if finding is None:
            finding = _fault(entry, count, before) or _against(entry, head)
        before = entry.hash
    if finding is None:
        finding = _ending(writer, count, head, anchored=heads is not None, old=now_us - first_us > _GRACE_US)
    unproven = count - (head.seq if head else 0) if finding is None and heads is not None else 0
    return Chain(writer, count, head.seq if head else None, unproven, finding)


def _fault(entry: Entry, expected: int, before: str) -> Finding | None:
    """What is wrong with an entry that should be this one of its chain, and follow that hash."""
    if not _intact(entry):
        return Finding("changed", entry.writer, expected, f"entry {expected} is not what was written: its hash differs")
    if entry.seq != expected:
        where = f"where entry {expected} should be, {entry.seq} is"
        return Finding("missing" if entry.seq > expected else "misplaced", entry.writer, expected, where)
    if entry.prev_hash != before:
        message = f"entry {expected} does not follow the one in front of it"
        return Finding("misplaced", entry.writer, expected, message)
    return None


def _intact(entry: Entry) -> bool:
    try:
        return digest(entry) == entry.hash
    except TypeError:  # somebody has put bytes where text was
        return False


def _against(entry: Entry, head: Head | None) -> Finding | None:
    """What is wrong with an entry by the anchored head of its chain."""
    if head is None or entry.seq < head.seq:
        return None
    if entry.seq == head.seq and entry.hash != head.hash:
        message = f"entry {entry.seq} is not the one that was anchored: it, or one in front of it, was written anew"
        return Finding("rewritten", entry.writer, entry.seq, message)
    if entry.seq > head.seq and head.closed:
        message = f"entry {entry.seq} stands behind the end of its chain: its writer had ended at {head.seq}"
        return Finding("behind-the-end", entry.writer, entry.seq, message)
    return None


def _ending(writer: str, count: int, head: Head | None, *, anchored: bool, old: bool) -> Finding | None:
    if head is not None and count < head.seq:
        message = f"entries {count + 1} to {head.seq} are cut off: {head.seq} was anchored"
        return Finding("truncated", writer, count + 1, message)
    if head is None and anchored and old:
        message = (
            "no gateway has announced this chain: somebody made it up, or Kafka was away for as long as its gateway ran"
        )
        return Finding("unknown-writer", writer, 1, message)
    return None
