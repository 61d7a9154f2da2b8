"""Makes a test of a row that passed: what the transform saw of it, with stand-ins for what is personal, and what became of it.

No test is handed on that does not pass by the dataset file that is live.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from headrace.contract import Contract, Expectation, TransformTest
from headrace.errors import HeadraceError
from headrace.transform.expectation import Fates
from headrace.transform.trial import fates_of, run_tests
from services.gateway.adapters.dataset_store import DatasetStore
from services.gateway.adapters.published_rows import PublishedRows
from services.gateway.adapters.quarantine import Quarantine
from services.gateway.adapters.transform_tests import TransformTests
from services.gateway.core import made_tests
from services.gateway.core.datasets import DatasetVersion
from services.gateway.core.made_tests import Recorded, Row
from services.gateway.core.passport import Place
from services.gateway.core.stand_ins import StandIns
from services.gateway.passport import NoRecordError, Passport
from services.gateway.passports import Passports

_SALTS: Final = 8
_MOST_REFERRED: Final = 20  # rows of another dataset that a row may need; each is tried without
_TELLING: Final = 4  # characters: shorter values of one row are equal by chance
_ANYTHING: Final = Expectation()
_LIMIT_S: Final = 60.0  # whoever applies a dataset file waits meanwhile


class NoTestError(HeadraceError):
    """No test can be made of the row. `columns` are those whose stand-ins would change what becomes of it."""

    def __init__(self, message: str, columns: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


@dataclass(frozen=True, slots=True)
class MadeTest:
    """A test that passes by the version that is live. `masked` are the columns with stand-ins and why; `notes` what to know."""

    dataset: DatasetVersion
    place: Place
    test: TransformTest
    outcome: Recorded
    recorded: Recorded
    masked: Mapping[str, str]
    notes: Sequence[str]


class TestMaker:
    """Where tests are made. Errors of all it is asked: NoRecordError, NoTestError, Transient."""

    __test__ = False  # pytest takes it for a test by its name

    def __init__(
        self,
        passports: Passports,
        quarantine: Quarantine,
        rows: PublishedRows,
        datasets: DatasetStore,
        tests: TransformTests,
    ) -> None:
        self._passports = passports
        self._quarantine = quarantine
        self._rows = rows
        self._datasets = datasets
        self._tests = tests

    def of_record(self, dataset: DatasetVersion, place: Place, clear: Collection[str] = ()) -> MadeTest:
        """A test of a raw record; the columns in `clear` get no stand-ins."""
        passport = self._passports.of(dataset, place)
        if passport.seen.fields is None:
            raise NoTestError(f"record {place} of {dataset.name} cannot be decoded, or is kept nowhere any more")
        return self._made(dataset, place, passport.seen.fields, passport, _recorded(passport), clear)

    def of_quarantined(self, dataset: DatasetVersion, place: Place, clear: Collection[str] = ()) -> MadeTest:
        """A test of a quarantined row, by its place in the quarantine topic."""
        row = self._quarantine.get(dataset.name, place)
        if row is None:
            raise NoRecordError(f"{dataset.name} has no quarantined row {place.partition}-{place.offset}")
        if row["raw_offset"] is None or row["stage"] in ("ingest", "stager"):
            raise NoTestError(
                f"{row['stage']} set the row aside in front of the transform ({row['reason']}), where a test begins"
            )
        raw = Place(row["partition"], row["raw_offset"])
        passport = self._passports.of(dataset, raw)
        fields = passport.seen.fields or (row["fields"] if row["stage"] == "transformer" else None)
        if fields is None:
            raise NoTestError(f"its raw record {raw} is kept nowhere any more")
        recorded = Recorded("quarantined", row["rule"] or row["reason"])
        return self._made(dataset, raw, fields, passport, recorded, clear)

    def _made(
        self,
        dataset: DatasetVersion,
        place: Place,
        fields: Row,
        passport: Passport,
        recorded: Recorded,
        clear: Collection[str],
    ) -> MadeTest:
        contract = dataset.contract()
        known = passport.schema.fields if passport.schema is not None and passport.schema.fields else ()
        given = made_tests.given_of(contract, fields, made_tests.decimals_of(known))
        asked = made_tests.asked_of_references(contract)
        others = {name: there.contract() for name in asked if (there := self._datasets.get(name)) is not None}
        values = made_tests.scalars([given, *passport.seen.rows])
        referred = {name: self._holding(others.get(name), columns, values) for name, columns in asked.items()}
        about = f"Made of raw record {place} of {dataset.name}, version {dataset.version}."
        with self._tests.turn():
            try:
                test, outcome, masked = made_of(contract, given, referred, others, f"raw record {place}", about, clear)
            except ValueError as error:
                raise NoTestError(f"the row cannot be run as a test: {error}") from error
        return MadeTest(dataset, place, test, outcome, recorded, masked, _notes(recorded, outcome))

    def _holding(self, other: Contract | None, asked: Sequence[str], values: Sequence[str]) -> list[Row]:
        """The rows of another dataset that a row may need."""
        columns = made_tests.columns_of(other, asked) if other is not None else []
        if other is None or not columns:
            return []
        return [
            made_tests.as_given(other, row)
            for row in self._rows.holding(other.dataset, columns, values, _MOST_REFERRED)
        ]


def made_of(
    contract: Contract,
    given: dict[str, Any],
    referred: Mapping[str, Sequence[Row]],
    others: Mapping[str, Contract],
    name: str,
    about: str,
    clear: Collection[str] = (),
    limit_s: float = _LIMIT_S,
) -> tuple[TransformTest, Recorded, dict[str, str]]:
    """A test of what becomes of a row that is given, that outcome, and the columns with stand-ins.

    `referred` are rows of other datasets that it may need, `others` their files. Errors: NoTestError; ValueError when the row
    cannot be run. It takes at most `limit_s`, and what one run takes.
    """
    deadline = time.monotonic() + limit_s
    if not given:
        raise NoTestError("the transform reads no column of it that has a value")
    real = _Trial(contract, given, {dataset: list(rows) for dataset, rows in referred.items()}, deadline).smallest()
    masked = made_tests.masked_columns(contract, given, clear)
    shown = _masked(real, masked, others, clear)
    outcome = made_tests.outcome_of(real.fates)
    expect = made_tests.expected_of(shown.fates, made_tests.hidden_outputs(contract))
    about += f" Stand-ins: {', '.join(masked)}." if masked else ""
    test = shown.test(f"{name}, {outcome}"[:120], expect, about)
    [verdict] = run_tests(contract.model_copy(update={"tests": [test]}))
    if not verdict.passed:
        raise NoTestError(
            f"the test that was made does not pass by the live version: {'; '.join(map(str, verdict.differences[:3]))}"
        )
    return test, outcome, masked


def _masked(
    real: "_Trial", masked: Mapping[str, str], others: Mapping[str, Contract], clear: Collection[str]
) -> "_Trial":
    """The trial with stand-ins, which ends as the real one does. Errors: NoTestError, ValueError."""
    kept = made_tests.said_by(real.contract)
    referred = {
        name: [column for row in rows for column in made_tests.masked_published(others[name], row, clear)]
        for name, rows in real.ref.items()
        if name in others
    }
    wanted = made_tests.end_of(real.fates)
    for salt in range(_SALTS):
        trial = real.with_stand_ins(StandIns(salt, kept), masked, referred, clear)
        if _ends_as(trial, wanted):
            return trial
    alone = [(name, real.with_stand_ins(StandIns(0, kept), [name], {}, clear)) for name in masked]
    for dataset, names in referred.items():
        alone += [(name, real.with_stand_ins(StandIns(0, kept), [], {dataset: [name]}, clear)) for name in names]
    guilty = list(dict.fromkeys(name for name, trial in alone if not _ends_as(trial, wanted)))
    guilty = guilty or list(dict.fromkeys(name for name, _ in alone))
    raise NoTestError(
        f"the stand-ins for {', '.join(guilty)} change what becomes of the row, which is {made_tests.outcome_of(real.fates)}: "
        "have the real values of the column shown (clear), or write the test by hand",
        guilty,
    )


@dataclass(frozen=True)
class _Trial:
    """Rows that are given, with the rows of other datasets; by `deadline` (monotonic) nothing more is tried."""

    contract: Contract
    given: dict[str, Any]
    ref: Mapping[str, Sequence[Row]]
    deadline: float

    @cached_property
    def fates(self) -> Fates:
        """What becomes of them. Errors: ValueError, NoTestError."""
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise NoTestError("the SQL takes too long to be run as often as a test needs: write the test by hand")
        return fates_of(self.contract, self.test("it", _ANYTHING), time_limit_s=left_s)

    def test(self, name: str, expect: Expectation, description: str | None = None) -> TransformTest:
        ref: dict[str, list[dict[str, Any]] | str] = {
            dataset: [dict(row) for row in rows] for dataset, rows in self.ref.items()
        }
        return TransformTest(name=name, description=description, given=[self.given], ref=ref, expect=expect)

    def smallest(self) -> "_Trial":
        """The same with those rows of other datasets only that make a difference. Errors: ValueError."""
        trial, wanted = self, self._end()
        for name, rows in self.ref.items():
            trial = trial._without(name, rows, wanted)
        return trial

    def _without(self, dataset: str, rows: Sequence[Row], wanted: tuple[Any, ...]) -> "_Trial":
        """The trial without those of these rows that make no difference: all at once, or else by halves."""
        if not rows:
            return self
        fewer = [each for each in self.ref[dataset] if all(each is not row for row in rows)]
        without = _Trial(self.contract, self.given, {**self.ref, dataset: fewer}, self.deadline)
        if without._end() == wanted:
            return without
        half = len(rows) // 2
        return self if not half else self._without(dataset, rows[:half], wanted)._without(dataset, rows[half:], wanted)

    def _end(self) -> tuple[Any, ...]:
        fates = self.fates
        return made_tests.end_of(fates), made_tests.published(fates)

    def with_stand_ins(
        self,
        stand_ins: StandIns,
        masked: Collection[str],
        referred: Mapping[str, Collection[str]],
        clear: Collection[str],
    ) -> "_Trial":
        of_others = [(row, referred.get(dataset, ())) for dataset, rows in self.ref.items() for row in rows]
        for row, hidden in [(self.given, masked), *of_others]:
            for name in (name for name in row if name in hidden):
                stand_ins.of(row[name])  # whichever comes first: what is equal has the same
        given = _hidden(self.given, stand_ins, masked, clear, _TELLING)
        ref = {
            dataset: [_hidden(row, stand_ins, referred.get(dataset, ()), clear) for row in rows]
            for dataset, rows in self.ref.items()
        }
        return _Trial(self.contract, given, ref, self.deadline)


def _hidden(
    row: Row, stand_ins: StandIns, masked: Collection[str], clear: Collection[str], shortest: int = 1
) -> dict[str, Any]:
    """A row with stand-ins: in the masked columns, and where a value of at least so many characters has one already."""
    shown = {name.lower() for name in clear}

    def hidden(name: str, value: Any) -> Any:
        if name.lower() in shown:
            return value
        return stand_ins.of(value) if name in masked else stand_ins.within(value, shortest)

    return {name: hidden(name, value) for name, value in row.items()}


def _ends_as(trial: _Trial, wanted: tuple[Any, ...]) -> bool:
    try:
        return made_tests.end_of(trial.fates) == wanted
    except ValueError:
        return False


def _recorded(passport: Passport) -> Recorded:
    state = passport.fate.state
    if state == "filtered":
        return Recorded("filtered", passport.rule or "")
    if state in ("loaded", "superseded", "expired"):
        return Recorded("loaded")
    aside = passport.seen.quarantined
    if aside:
        return Recorded("quarantined", aside[-1].row["rule"] or aside[-1].row["reason"])
    return Recorded()


def _notes(recorded: Recorded, outcome: Recorded) -> list[str]:
    """What to know where the test does not say what became of the row."""
    if not recorded.fate or recorded == outcome or (recorded.fate == outcome.fate and not recorded.rule):
        return []
    return [
        f"When the row passed it was {recorded}; by the version that is live, and with the rows of other datasets as they are "
        f"now, it is {outcome}. The test says what is so now; rows that were loaded before are not part of a test."
    ]
