"""Decides which generation of a dataset is live, and what becomes of the others.

One record of `_headrace.datasets` says it of all of them, so that each act is one record, and exactly one is live after any
order of acts. A number is never used twice: a retired generation stays on record.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from headrace.contract import Contract
from services.gateway.core.datasets import DatasetVersion, Generation, Refusal

LIVE = "live"
CANDIDATE = "candidate"
KEPT = "kept"
RETIRED = "retired"


class Range(NamedTuple):
    """The times of ingestion of the rows that a generation holds, half-open; None: without end there."""

    begin: datetime | None = None
    end: datetime | None = None


ALWAYS = Range()


class Act(NamedTuple):
    """Who does something to generations, when and why."""

    at: datetime
    by: str
    because: str


def stands_against(contract: Contract, live: Contract) -> Refusal | None:
    """Why a file cannot be replayed beside the live one, which gives it the records it reads; None when it can."""
    if "replace" in (contract.load.mode, live.load.mode):
        detail = (
            "a dataset with load.mode replace is read anew in runs: apply the file, and the next run is made by it; where it "
            "would break what is live, give the dataset another name"
        )
        return Refusal("loaded-in-runs", detail)
    if contract.partitions != live.partitions:
        detail = (
            f"the live generation has {live.partitions} partitions, and its records stay in them: leave `partitions`"
        )
        return Refusal("other-partitions", detail)
    if contract.load.mode == "upsert" and contract.key != live.key and live.partitions > 1:
        detail = (
            f"its records were partitioned by the key {', '.join(live.key) or '(none)'}: those of one new key are in several "
            "partitions, and which is newest is not known; give the dataset another name"
        )
        return Refusal("other-key", detail)
    return None


def replayed(
    current: DatasetVersion, contract: Contract, act: Act, tests_skipped: str = "", ingested: Range = ALWAYS
) -> DatasetVersion:
    """The dataset with a candidate more. One of a range is to be looked at: it is never live."""
    candidate = Generation(
        current.highest_generation + 1,
        current.highest_version + 1,
        CANDIDATE,
        contract.canonical_json(),
        act.at,
        act.by,
        tests_skipped if contract.tests else "",
        *act,
        *ingested,
    )
    return replace(current, beside=(*current.beside, candidate))


def promoted(current: DatasetVersion, generation: int, act: Act) -> DatasetVersion | Refusal:
    """The dataset with this generation live, and the one that was kept. Promoting the live one changes nothing."""
    if generation == current.generation:
        return current
    chosen = current.other(generation)
    if chosen is not None and not chosen.whole and chosen.state != RETIRED:
        detail = (
            f"generation {generation} of {current.name} holds only rows that were ingested {_told(chosen)}: readers would miss "
            f"all others. Compare it (headrace diff {current.name} --generation {generation}), then replay the file without "
            "a range"
        )
        return Refusal("only-a-range", detail)
    return _made_live(current, generation, KEPT, act)


def earlier(current: DatasetVersion) -> Generation | None:
    """The generation to go back to: of those that were live, the last."""
    kept = [each for each in current.beside if each.state == KEPT]
    return max(kept, key=lambda each: (each.at, each.generation), default=None)


def rolled_back(current: DatasetVersion, leaving: int, act: Act) -> DatasetVersion | Refusal:
    """The dataset with the generation live that was before. `leaving` is the one that is live as far as the asker knows.

    What was left becomes a candidate, so that going back again goes further back, and never forth.
    """
    back = earlier(current)
    if leaving != current.generation:
        detail = f"generation {current.generation} of {current.name} is live, not {leaving}: look again"
        return Refusal("changed-meanwhile", detail)
    if back is None:
        return Refusal("no-earlier-generation", f"no generation of {current.name} is kept that was live before")
    return _made_live(current, back.generation, CANDIDATE, act)


def retired(current: DatasetVersion, generation: int, act: Act) -> DatasetVersion | Refusal:
    """The dataset with a generation given up for ever. Retiring it again changes nothing."""
    if generation == current.generation:
        detail = f"generation {generation} of {current.name} is live: promote another first"
        return Refusal("live-generation", detail)
    found = current.other(generation)
    if found is None:
        return _unknown(current, generation)
    if found.state == RETIRED:
        return current
    gone = replace(found, state=RETIRED, document="", **act._asdict())
    return replace(current, beside=tuple(gone if each is found else each for each in current.beside))


def _made_live(current: DatasetVersion, generation: int, left_as: str, act: Act) -> DatasetVersion | Refusal:
    chosen = current.other(generation)
    act = _after(current, act)
    if chosen is None:
        return _unknown(current, generation)
    if chosen.state == RETIRED:
        detail = f"generation {generation} of {current.name} is retired, its rows are gone: replay the file again"
        return Refusal("retired-generation", detail)
    left = Generation(
        current.generation,
        current.version,
        left_as,
        current.document,
        current.applied_at,
        current.applied_by,
        current.tests_skipped,
        *act,
    )
    others = [each for each in current.beside if each is not chosen]
    return replace(
        _reading_on(current, current.made_by(chosen), act),
        live_since=act.at,
        live_by=act.by,
        live_because=act.because,
        beside=tuple(sorted([*others, left], key=lambda each: each.generation)),
    )


def _reading_on(current: DatasetVersion, chosen: DatasetVersion, act: Act) -> DatasetVersion:
    """What goes live, with the number of the snapshot that was read last: sources are read on, and that number only rises.

    A file with a lower one would stop ingest: it becomes a version of its own.
    """
    file, live = chosen.contract(), current.contract()
    wanted, reached = (getattr(each.source, "snapshot", None) for each in (file, live))
    if file.source.type != live.source.type or wanted is None or reached is None or wanted >= reached:
        return chosen
    source = file.source.model_copy(update={"snapshot": reached})
    document = file.model_copy(update={"source": source}).canonical_json()
    version = current.highest_version + 1
    return replace(chosen, version=version, document=document, applied_at=act.at, applied_by=act.by)


def _after(current: DatasetVersion, act: Act) -> Act:
    """The act, later than the one that made the live generation live: which came last is told by when it was (`LiveDataset`)."""
    if current.live_since is None:
        return act
    return act._replace(at=max(act.at, current.live_since + timedelta(microseconds=1)))


def _told(generation: Generation) -> str:
    begin, end = generation.ingested_from, generation.ingested_to
    parts = [f"from {begin.isoformat()}" if begin else "", f"before {end.isoformat()}" if end else ""]
    return " and ".join(part for part in parts if part)


def _unknown(current: DatasetVersion, generation: int) -> Refusal:
    return Refusal("unknown-generation", f"{current.name} has no generation {generation}")
