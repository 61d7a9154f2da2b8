"""Decides whether the rows of a stretch of time may be read again, and what else can be done where not."""

from dataclasses import dataclass

from headrace.contract import Contract


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a backfill is refused. `code` names the kind of problem."""

    code: str
    title: str
    detail: str


def refused(contract: Contract, *, allow_duplicates: bool) -> Refusal | None:
    """Why a dataset takes no backfill; None when it does."""
    name, mode = contract.dataset, contract.load.mode
    if contract.source.type == "http_push":
        what = f"rows are sent to {name}: let the sender send them again"
        return Refusal("no-backfill", "The source cannot be read by time", what)
    if mode == "replace":
        what = f"every run of {name} reads all of its source: headrace runs start {name}"
        return Refusal("no-backfill", "The dataset is loaded in runs", what)
    if why := contract.source.why_no_backfill(mode):
        instead = "with load.mode replace in a new dataset, all of it is read in each run"
        return Refusal("no-backfill", "The source cannot be read by time", f"{name}: {why}; {instead}")
    if mode == "append" and not allow_duplicates:
        what = f"{name} appends: rows that were loaded before will be there twice. Allow it: --allow-duplicates"
        return Refusal("duplicates", "Rows would be there twice", what)
    return None
