"""What was done through the gateway, and whether the log of it is whole."""

from datetime import datetime
from typing import Any

from headrace.client.results.base import Result


class AuditedAct(Result):
    """What somebody did, or tried to do. `outcome` unknown: it goes on, or its gateway died before the end was written."""

    id: str
    at: datetime
    ended_at: datetime | None = None
    actor: str = ""
    actor_id: str = ""
    credential: str = ""
    action: str
    datasets: list[str] = []  # noqa: RUF012 - pydantic copies it
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    status: int | None = None
    outcome: str
    details: dict[str, Any] = {}  # noqa: RUF012


class AuditEntry(Result):
    """An entry of the log, and its place in its chain."""

    writer: str
    seq: int
    prev_hash: str
    hash: str
    phase: str
    at: datetime


class AuditedActInFull(AuditedAct):
    """An act with its entries."""

    entries: list[AuditEntry]


class AuditFault(Result):
    """The first thing that is wrong with a chain."""

    kind: str
    seq: int
    message: str


class AuditChain(Result):
    """What became of checking a chain. `unproven` entries stand behind its anchored head."""

    writer: str
    entries: int
    anchored: int | None = None
    unproven: int = 0
    finding: AuditFault | None = None


class AuditVerification(Result):
    """Whether the audit log is what was written."""

    ok: bool
    entries: int
    unproven: int = 0
    chains: list[AuditChain]
