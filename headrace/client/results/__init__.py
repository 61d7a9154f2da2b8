"""The values the gateway's answers are read into.

Unknown members are ignored, so that an older client reads a newer gateway.
"""

from headrace.client.results.audit import (
    AuditChain,
    AuditedAct,
    AuditedActInFull,
    AuditEntry,
    AuditFault,
    AuditVerification,
)
from headrace.client.results.back_tests import (
    BackTestPart,
    BackTestSample,
    ColumnChange,
    FateCount,
    FateMove,
    FlagCount,
    RowFate,
)
from headrace.client.results.base import Result
from headrace.client.results.books import Books, Ledger, PartitionBooks, StageBooks
from headrace.client.results.datasets import (
    Affected,
    Applied,
    Change,
    ColumnReader,
    Dataset,
    Impact,
    Plan,
    Refusal,
    SourceColumn,
    SourcePart,
)
from headrace.client.results.drift import Drift, DriftDecided, DriftEdit, DriftHits, DriftItem
from headrace.client.results.made_tests import MadeTest, MaskedColumn
from headrace.client.results.overrides import HeldRow, Override
from headrace.client.results.passport import Contributors, MadeRow, Passport, Passports
from headrace.client.results.quarantine import (
    Cluster,
    Fingerprint,
    Fingerprints,
    Quarantine,
    QuarantineAsked,
    QuarantinedRow,
    QuarantinedRowInFull,
    QuarantineOutcome,
    Refused,
    RowAct,
    Verdict,
)
from headrace.client.results.rows import Column, QueryEstimate, QueryResult, ReadDataset, TailRecord
from headrace.client.results.runs import Asked, Generation, Run, RunCause, RunEvent, RunStory, SourceHolding, Wish
from headrace.client.results.secrets import FailedRotation, RotatedSecrets, Secret, Secrets
from headrace.client.results.sign_in import OneTimeLink
from headrace.client.results.status import DatasetStatus, Latency, SourceStatus, StageStatus, Version

__all__ = [
    "Affected",
    "Applied",
    "Asked",
    "AuditChain",
    "AuditEntry",
    "AuditFault",
    "AuditVerification",
    "AuditedAct",
    "AuditedActInFull",
    "BackTestPart",
    "BackTestSample",
    "Books",
    "Change",
    "Cluster",
    "Column",
    "ColumnChange",
    "ColumnReader",
    "Contributors",
    "Dataset",
    "DatasetStatus",
    "Drift",
    "DriftDecided",
    "DriftEdit",
    "DriftHits",
    "DriftItem",
    "FailedRotation",
    "FateCount",
    "FateMove",
    "Fingerprint",
    "Fingerprints",
    "FlagCount",
    "Generation",
    "HeldRow",
    "Impact",
    "Latency",
    "Ledger",
    "MadeRow",
    "MadeTest",
    "MaskedColumn",
    "OneTimeLink",
    "Override",
    "PartitionBooks",
    "Passport",
    "Passports",
    "Plan",
    "Quarantine",
    "QuarantineAsked",
    "QuarantineOutcome",
    "QuarantinedRow",
    "QuarantinedRowInFull",
    "QueryEstimate",
    "QueryResult",
    "ReadDataset",
    "Refusal",
    "Refused",
    "Result",
    "RotatedSecrets",
    "RowAct",
    "RowFate",
    "Run",
    "RunCause",
    "RunEvent",
    "RunStory",
    "Secret",
    "Secrets",
    "SourceColumn",
    "SourceHolding",
    "SourcePart",
    "SourceStatus",
    "StageBooks",
    "StageStatus",
    "TailRecord",
    "Verdict",
    "Version",
    "Wish",
]
