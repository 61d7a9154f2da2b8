"""The names of topics and of the groups that read them: the only place where a dataset's name turns into theirs."""

from typing import Final

DATASETS: Final = "_headrace.datasets"
LEDGER: Final = "_headrace.ledger"
EVENTS: Final = "_headrace.events"
INCIDENTS: Final = "_headrace.incidents"
PROFILES: Final = "_headrace.profiles"
SOURCE_POSITIONS: Final = "_headrace.source-positions"
PUSH_KEYS: Final = "_headrace.push-keys"
SOURCE_REQUESTS: Final = "_headrace.source-requests"
SOURCE_ANSWERS: Final = "_headrace.source-answers"
SECRETS: Final = "_headrace.secrets"
RUNS: Final = "_headrace.runs"
SOURCE_WISHES: Final = "_headrace.source-wishes"
SOURCE_HOLDINGS: Final = "_headrace.source-holdings"
OVERRIDES: Final = "_headrace.overrides"
QUARANTINE_REQUESTS: Final = "_headrace.quarantine-requests"
QUARANTINE_ACTS: Final = "_headrace.quarantine-acts"
TRIALS: Final = "_headrace.trials"
VERDICTS: Final = "_headrace.verdicts"
BACK_TESTS: Final = "_headrace.back-tests"
BACK_TEST_ANSWERS: Final = "_headrace.back-test-answers"
ACCESS: Final = "_headrace.access"
AUDIT_HEADS: Final = "_headrace.audit-heads"

#: Control topics whose latest record by key is the state; the others are logs.
COMPACTED: Final = frozenset(
    {
        DATASETS,
        SOURCE_POSITIONS,
        PUSH_KEYS,
        SECRETS,
        RUNS,
        SOURCE_WISHES,
        SOURCE_HOLDINGS,
        OVERRIDES,
        QUARANTINE_ACTS,
        ACCESS,
        AUDIT_HEADS,
    }
)
#: Control topics whose records nobody needs after a while: somebody asks and waits for the answer.
PASSING: Final = frozenset({SOURCE_REQUESTS, SOURCE_ANSWERS, TRIALS, VERDICTS, BACK_TESTS, BACK_TEST_ANSWERS})
CONTROL: Final = (
    DATASETS,
    LEDGER,
    EVENTS,
    INCIDENTS,
    PROFILES,
    SOURCE_POSITIONS,
    PUSH_KEYS,
    SOURCE_REQUESTS,
    SOURCE_ANSWERS,
    SECRETS,
    RUNS,
    SOURCE_WISHES,
    SOURCE_HOLDINGS,
    OVERRIDES,
    QUARANTINE_REQUESTS,
    QUARANTINE_ACTS,
    TRIALS,
    VERDICTS,
    BACK_TESTS,
    BACK_TEST_ANSWERS,
    ACCESS,
    AUDIT_HEADS,
)

#: The group that does what is asked of quarantined rows.
QUARANTINE_GROUP: Final = "headrace.ingest.quarantine"


def raw(dataset: str) -> str:
    """Records as the source gave them."""
    return f"{dataset}.raw"


def staged(dataset: str) -> str:
    """Raw records with their system columns."""
    return f"{dataset}.staged"


def transformed(dataset: str, generation: int) -> str:
    """Records in the published shape, checked."""
    return f"{dataset}.transformed.v{generation}"


def validated(dataset: str, generation: int) -> str:
    """Records that passed the quality gates: what the loader loads and other datasets refer to."""
    return f"{dataset}.validated.v{generation}"


def quarantine(dataset: str) -> str:
    """Records that were set aside, each with its reason."""
    return f"{dataset}.quarantine"


def parked(dataset: str, generation: int) -> str:
    """Staged records whose parent in another dataset is waited for, by their identity (compacted)."""
    return f"{dataset}.parked.v{generation}"


def of_dataset(dataset: str, generation: int) -> tuple[str, ...]:
    """Every topic that each dataset has, in the order data flows."""
    return (
        raw(dataset),
        staged(dataset),
        transformed(dataset, generation),
        validated(dataset, generation),
        quarantine(dataset),
    )


#: The stages whose input all generations share; the others read a generation's topics, or read staged once for each.
_SHARED: Final = frozenset({"stager", "lander", "quarantine_loader"})


def group(stage: str, dataset: str, generation: int) -> str:
    """The consumer group of a stage on its input topic."""
    name = f"headrace.{stage}.{dataset}"
    return name if stage in _SHARED else f"{name}.v{generation}"


def subject(topic: str) -> str:
    """The registry subject that holds a topic's value schemas."""
    return f"{topic}-value"
