"""How much of ingest one source file may ask for, so that a small file cannot unpack into one that nobody can hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What packed files may become. Each can be raised by a setting of ingest, which its refusal names. Units: bytes."""

    unpacked_bytes: int = 100 << 30
    ratio: float = 200.0
    members: int = 10_000
    workbook_bytes: int = 64 << 20
    row_group_bytes: int = 1 << 30
    block_bytes: int = 64 << 20
