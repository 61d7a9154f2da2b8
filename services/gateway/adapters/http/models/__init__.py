"""The bodies of the API: what is asked and what is answered."""

from services.gateway.adapters.http.models.access import (
    CreatedToken,
    FailedRotation,
    NewSecret,
    NewToken,
    RotatedSecrets,
    Secret,
    Secrets,
    Token,
    Tokens,
)
from services.gateway.adapters.http.models.back_tests import (
    MOST_TESTED,
    BackTestPart,
    BackTestRequest,
    BackTestSample,
    ColumnChange,
    FateCount,
    FateMove,
    FlagCount,
    RowFate,
)
from services.gateway.adapters.http.models.books import Books, Hop, Ledger, PartitionBooks, StageBooks
from services.gateway.adapters.http.models.datasets import (
    Applied,
    Change,
    DatasetApplication,
    DatasetDetail,
    DatasetFile,
    Datasets,
    DatasetSummary,
    Plan,
    Refusal,
    SourceFile,
    SourcePart,
)
from services.gateway.adapters.http.models.drift import (
    Drift,
    DriftChoice,
    DriftDecided,
    DriftEdit,
    DriftHits,
    DriftItem,
    DriftReader,
)
from services.gateway.adapters.http.models.generations import (
    Generation,
    GenerationAct,
    Generations,
    Promotion,
    Replay,
    Rollback,
)
from services.gateway.adapters.http.models.made_tests import MadeTest, MaskedColumn
from services.gateway.adapters.http.models.overrides import HeldRow, HeldRows, HoldRelease, Override, Overrides, Skip
from services.gateway.adapters.http.models.passport import (
    AppliedVersion,
    LandedRecord,
    Leg,
    LoadedAs,
    LoadRun,
    MadeRow,
    Origin,
    Passport,
    Passports,
    RawField,
    RawRecord,
    RawSchema,
    RowsWanted,
    SetAsideRow,
    Whereabouts,
)
from services.gateway.adapters.http.models.quarantine import (
    Assignment,
    Cluster,
    Fingerprint,
    Fingerprints,
    QuarantineAsked,
    QuarantineChoice,
    Quarantined,
    QuarantinedRow,
    QuarantinedRowInFull,
    QuarantineOutcome,
    Refused,
    Resubmission,
    RowAct,
    Verdict,
)
from services.gateway.adapters.http.models.rows import Column, Query, QueryResult, TailRecord, TailRecords
from services.gateway.adapters.http.models.runs import (
    Asked,
    Backfill,
    Reason,
    Release,
    Run,
    RunEvent,
    Runs,
    RunStory,
    SourceHolding,
    SourceHoldings,
    Wish,
)
from services.gateway.adapters.http.models.status import DatasetStatus, Latency, SourceStatus, StageStatus, Statuses
from services.gateway.adapters.http.models.system import Health, Part, Version
from services.gateway.adapters.http.models.words import (
    Answer,
    Body,
    Name,
    Problems,
    Rows,
    SecretName,
    TailStage,
    Warnings,
)

__all__ = [
    "MOST_TESTED",
    "Answer", "Applied", "AppliedVersion", "Asked", "Assignment", "BackTestPart", "BackTestRequest", "BackTestSample", "Backfill",
    "Body", "Books", "Change", "Cluster", "Column", "ColumnChange", "CreatedToken", "DatasetApplication", "DatasetDetail",
    "DatasetFile", "DatasetStatus", "DatasetSummary", "Datasets", "Drift", "DriftChoice", "DriftDecided", "DriftEdit",
    "DriftHits", "DriftItem", "DriftReader", "FailedRotation", "FateCount", "FateMove", "Fingerprint", "Fingerprints",
    "FlagCount", "Generation", "GenerationAct", "Generations", "Health", "HeldRow", "HeldRows", "HoldRelease", "Hop",
    "LandedRecord", "Latency", "Ledger", "Leg", "LoadRun", "LoadedAs", "MadeRow", "MadeTest", "MaskedColumn", "Name",
    "NewSecret", "NewToken",
    "Origin", "Override", "Overrides", "Part", "PartitionBooks", "Passport", "Passports", "Plan", "Problems", "Promotion",
    "QuarantineAsked", "QuarantineChoice", "QuarantineOutcome", "Quarantined", "QuarantinedRow", "QuarantinedRowInFull",
    "Query", "QueryResult",
    "RawField", "RawRecord", "RawSchema", "Reason", "Refusal", "Refused", "Release", "Replay", "Resubmission", "Rollback",
    "RotatedSecrets", "RowAct", "RowFate", "Rows", "RowsWanted", "Run", "RunEvent", "RunStory", "Runs", "Secret", "SecretName",
    "Secrets", "SetAsideRow", "Skip", "SourceFile", "SourceHolding", "SourceHoldings", "SourcePart", "SourceStatus",
    "StageBooks", "StageStatus", "Statuses", "TailRecord", "TailRecords", "TailStage", "Token", "Tokens", "Verdict",
    "Version", "Warnings", "Whereabouts", "Wish",
]  # fmt: skip
