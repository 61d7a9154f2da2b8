"""Bodies: the audit log."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer

AuditOutcome = Literal["done", "refused", "failed", "broken-off", "unknown"]
AuditFinding = Literal["changed", "missing", "misplaced", "rewritten", "truncated", "behind-the-end", "unknown-writer"]


class AuditedAct(Answer):
    """What somebody did, or tried to do."""

    id: str = Field(examples=["24d2fa7229014f7a08f7d6843630af42"])
    at: datetime = Field(description="When it began, or was refused.")
    ended_at: datetime | None = Field(description="When its end was written; null when it is not known.")
    actor: str = Field(description="Who; empty where nobody had signed in.", examples=["grafana"])
    actor_id: str = Field(description="Their id, where they have one.")
    credential: str = Field(description="What they had signed in with, by its id.", examples=["token:9f86d081884c7d65"])
    action: str = Field(description="Method and path of the route; or `sign-in`.", examples=["POST /api/v1/query"])
    datasets: list[str] = Field(description="The datasets it was about.", examples=[["nyc.flights"]])
    address: str = Field(description="From where, as the gateway saw it.", examples=["192.0.2.7"])
    user_agent: str
    request_id: str
    status: int | None = Field(description="The HTTP status of the answer; null when it is not known.", examples=[200])
    outcome: str = Field(
        description="`done`, `refused` (4xx), `failed` (5xx), `broken-off` (the answer did not go out to its end), or `unknown`: "
        "it goes on, or its gateway died before the end was written.",
        examples=["done"],
    )
    details: dict[str, Any] = Field(
        description="What was asked for, as far as it is kept (`path`, `query`, `body`); what was told of it (`noted`: `before` "
        "and `after` among others); the kind of problem it ended in (`error`)."
    )


class AuditedActs(Answer):
    """Acts, the newest first."""

    items: list[AuditedAct]
    next_cursor: str | None = Field(description="The `cursor` of the next page; null at the end.")


class AuditEntry(Answer):
    """An entry of the log. The hash is over all of its fields: see docs/audit.md."""

    writer: str = Field(description="The chain: the start of a gateway that wrote it.")
    seq: int = Field(description="Its number in the chain, from 1.")
    prev_hash: str
    hash: str
    phase: str = Field(description="`begun`, `ended`, or `whole`: it was refused before anything began.")
    at: datetime


class AuditedActInFull(AuditedAct):
    """An act with its entries."""

    entries: list[AuditEntry]


class AuditFault(Answer):
    """The first thing that is wrong with a chain."""

    kind: AuditFinding
    seq: int = Field(description="Where.")
    message: str


class AuditChain(Answer):
    """What became of checking a chain."""

    writer: str
    entries: int = Field(description="How many there are.")
    anchored: int | None = Field(
        description="The number of the newest entry that was anchored; null when none ever was."
    )
    unproven: int = Field(
        description="How many stand behind that: they could be changed or cut off unseen. A few, for a second, where a gateway "
        "runs; for ever, where one was killed."
    )
    finding: AuditFault | None


class AuditVerification(Answer):
    """Whether the audit log is what was written."""

    ok: bool
    entries: int
    unproven: int
    chains: list[AuditChain]
