"""Every metric of the gateway."""

from typing import Final

from prometheus_client import Counter, Histogram

REQUESTS: Final = Counter(
    "headrace_gateway_requests_total", "Requests answered, by route and status.", ("method", "route", "status")
)
REQUEST_SECONDS: Final = Histogram(
    "headrace_gateway_request_seconds",
    "From the first byte of a request to the last of its answer.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
FOLDED: Final = Counter(
    "headrace_gateway_folded_records_total", "Control records folded into the database.", ("topic",)
)
FOLD_SKIPPED: Final = Counter(
    "headrace_gateway_skipped_records_total", "Control records that could not be read.", ("topic",)
)
FOLD_FAILURES: Final = Counter("headrace_gateway_fold_failures_total", "Times the fold had to wait and begin again.")
AUDITED: Final = Counter(
    "headrace_gateway_audit_entries_total", "Entries written to the audit log, by phase.", ("phase",)
)
AUDIT_FAILURES: Final = Counter(
    "headrace_gateway_audit_failures_total", "Entries of the audit log that could not be written."
)
