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
from services.gateway.adapters.http.models.quarantine import (
    Cluster,
    Fingerprint,
    Fingerprints,
    QuarantineAsked,
    QuarantineChoice,
    Quarantined,
    QuarantinedRow,
    QuarantineOutcome,
    Refused,
    Resubmission,
    Verdict,
)
from services.gateway.adapters.http.models.rows import Column, Query, QueryResult, TailRecord, TailRecords
from services.gateway.adapters.http.models.runs import (
    Asked,
    Backfill,
    Reason,
    Release,
    Run,
    Runs,
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
    "Answer", "Applied", "Asked", "BackTestPart", "BackTestRequest", "BackTestSample", "Backfill", "Body", "Books", "Change",
    "Cluster", "Column", "ColumnChange", "CreatedToken", "DatasetApplication", "DatasetDetail", "DatasetFile", "DatasetStatus",
    "DatasetSummary", "Datasets", "Drift", "DriftChoice", "DriftDecided", "DriftEdit", "DriftHits", "DriftItem", "DriftReader",
    "FailedRotation", "FateCount", "FateMove", "Fingerprint", "Fingerprints", "FlagCount", "Health", "Hop", "Latency", "Ledger",
    "Name", "NewSecret", "NewToken", "Part", "PartitionBooks", "Plan", "Problems", "QuarantineAsked", "QuarantineChoice",
    "QuarantineOutcome", "Quarantined", "QuarantinedRow", "Query", "QueryResult", "Reason", "Refusal", "Refused", "Release",
    "Resubmission", "RotatedSecrets", "RowFate", "Rows", "Run", "Runs", "Secret", "SecretName", "Secrets", "SourceFile",
    "SourceHolding", "SourceHoldings", "SourcePart", "SourceStatus", "StageBooks", "StageStatus", "Statuses", "TailRecord",
    "TailRecords", "TailStage", "Token", "Tokens", "Verdict", "Version", "Warnings", "Wish",
]  # fmt: skip
