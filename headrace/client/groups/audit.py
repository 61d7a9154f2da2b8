"""Calls about what was done through the gateway."""

from typing import Final, Literal, TypedDict, Unpack

from headrace.client.call import Call, Pages, Pieces, get
from headrace.client.method import Group, WireT, call, pages, pieces
from headrace.client.results import AuditedAct, AuditedActInFull, AuditVerification

_ALL_S: Final = 300.0  # every entry is read


class Wanted(TypedDict, total=False):
    """Only what meets all of these; `since` and `until` are moments in ISO 8601, with an offset."""

    actor: str | None
    action: str | None
    dataset: str | None
    text: str | None
    since: str | None
    until: str | None


class Audit(Group[WireT]):
    """The audit log. For administrators."""

    @pages
    def list(self, *, outcome: str | None = None, page: int = 500, **wanted: Unpack[Wanted]) -> Pages[AuditedAct]:
        """What was done, the newest first; `page` acts are asked for at a time."""
        return get("/audit").asking(outcome=outcome, limit=page, **wanted).pages(AuditedAct)

    @call
    def get(self, act: str) -> Call[AuditedActInFull]:
        """One act, with its entries and their places in the chain."""
        return get("/audit/{act_id}", act_id=act).one(AuditedActInFull)

    @call
    def verify(self) -> Call[AuditVerification]:
        """Whether every entry of the log is what was written, and none is gone."""
        return get("/audit/verify").within(_ALL_S).one(AuditVerification)

    @pieces
    def export(self, form: Literal["ndjson", "csv"] = "ndjson", **wanted: Unpack[Wanted]) -> Pieces[str]:
        """The text of a file with every entry: lines of JSON, which can be verified, or `csv`."""
        return get("/audit/export").asking(format=form, **wanted).within(_ALL_S).pieces(str)
