"""Every metric of the data plane, in one place. Names: `headrace_<what>_<unit>`, Prometheus conventions."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_STAGE: Final = ("stage", "dataset", "generation")

ROWS_IN: Final = Counter("headrace_rows_in_total", "Records a stage has read and settled.", _STAGE)
ROWS_OUT: Final = Counter("headrace_rows_out_total", "Records a stage has written to the next topic or table.", _STAGE)
ROWS_FILTERED: Final = Counter(
    "headrace_rows_filtered_total", "Records dropped on purpose, by rule.", (*_STAGE, "rule")
)
ROWS_QUARANTINED: Final = Counter(
    "headrace_rows_quarantined_total", "Records set aside, by reason.", (*_STAGE, "reason")
)
ROWS_PARKED: Final = Counter(
    "headrace_rows_parked_total",
    "Records that began to wait for a row of another dataset, by check.",
    (*_STAGE, "rule"),
)
ROWS_RELEASED: Final = Counter(
    "headrace_rows_released_total", "Records that waited and were taken up again, by check.", (*_STAGE, "rule")
)
RETRIES: Final = Counter("headrace_retries_total", "Times a stage met a passing failure and rewound.", _STAGE)
TRANSACTION_SECONDS: Final = Histogram(
    "headrace_transaction_seconds",
    "How long it took to write and commit what became of a batch.",
    _STAGE,
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
SOURCE_BEHIND_BYTES: Final = Gauge(
    "headrace_source_behind_bytes",
    "How far the capture of a dataset is behind its database, in bytes of its log.",
    ("dataset",),
)
DATASETS: Final = Gauge("headrace_datasets", "Datasets this process works on, by state.", ("service", "state"))
