"""Finds out who decided about a raw record: the transactions that dealt with it, and the rule or the person that dropped it."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Final

from headrace.errors import Fatal
from headrace.stream import topics
from headrace.stream.control import Controls
from headrace.stream.overrides import SKIPPED, Override
from services.gateway.adapters.attribution import Attribution
from services.gateway.adapters.override_store import OverrideStore
from services.gateway.adapters.trail import RawRecord, Trail
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.overrides import skip_of
from services.gateway.core.passport import Fate, Place, Stamp, Step, likely_rule, sole_rule, stamped

#: How long the books are read for one record.
BOOKS_S: Final = 3.0
#: By so much the clocks of services and brokers may differ.
CLOCKS_MS: Final = 60_000


class Deciders:
    """What the books, the SQL and people's decisions say of a record. Errors of all it is asked: Transient."""

    def __init__(self, controls: Controls, overrides: OverrideStore) -> None:
        self._controls = controls
        self._overrides = overrides
        self._attribution = Attribution()

    def stamps(
        self, trail: Trail, dataset: DatasetVersion, place: Place, steps: Sequence[Step], since_ms: int | None
    ) -> list[Stamp]:
        """The ledger entries of the transactions that dealt with the record, as far as they are found in time."""
        wanted = {step.stage: step.found.offsets[0] for step in steps if step.done}
        found: dict[str, Stamp] = {}
        first = trail.offset_at(topics.LEDGER, 0, since_ms - CLOCKS_MS) if since_ms is not None and wanted else None
        if first is None:
            return []
        for message in trail.records_from(topics.LEDGER, 0, first, BOOKS_S):
            if message.key() != dataset.name.encode():
                continue
            try:
                entry = self._controls.decode(message.value() or b"")
            except Fatal:
                continue
            if (stage := stamped(entry, place.partition, dataset.generation, wanted)) is not None:
                known = {each.name: entry[each.name] for each in fields(Stamp)}
                found[stage] = Stamp(**known | {"committed_at": entry["committed_at"].isoformat()})
            if len(found) == len(wanted):
                break
        return [found[stage] for stage in wanted if stage in found]

    def rule(
        self,
        became: Fate,
        stamps: Sequence[Stamp],
        version: DatasetVersion | None,
        record: RawRecord | None,
        waited_for: DatasetVersion | None,
    ) -> tuple[str | None, list[str]]:
        """The rule that dropped a filtered record, or else those that may have. `waited_for` is the present version of the
        dataset, where the record had waited: what decided is then that which read it, the present one, or one in between.
        """
        if became.state != "filtered":
            return None, []
        if (rule := sole_rule(stamps, waited=waited_for is not None)) is not None:
            return rule, []
        versions = {each.version: each for each in (version, waited_for) if each is not None}
        batch = record.batch if record is not None and version is not None else None
        by_sql = [
            self._attribution.rule(each.contract(), at, batch) for at, each in versions.items() if batch is not None
        ]
        return likely_rule(stamps, by_sql, waited=waited_for is not None)

    def skip(
        self, dataset: DatasetVersion, place: Place, stamps: Sequence[Stamp], released_ms: int | None
    ) -> Override | None:
        """Who had a filtered record left out, if somebody had. The books count it under that rule, where they tell of it."""
        if released_ms is not None:
            return skip_of(self._overrides.of(dataset.name), *place, datetime.fromtimestamp(released_ms / 1000, UTC))
        decided = next((stamp for stamp in stamps if stamp.stage == "transformer"), None)
        if decided is not None and SKIPPED not in decided.filtered:
            return None
        at = None if decided is None else datetime.fromisoformat(decided.committed_at)
        return skip_of(self._overrides.of(dataset.name), *place, at)
