"""The registered types of events and incidents: what each means, and for an incident what to do about it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of event or incident."""

    code: str
    text: str
    remedy: str = ""


_EVENTS: Final = (
    Kind("asset_registered", "The first records of a dataset have landed in the lake."),
    Kind("secret_set", "A secret got a value: from the administrator, or from a source whose credential was replaced."),
    Kind("secret_removed", "A secret was removed."),
    Kind("secret_rewrapped", "A secret was sealed under the current master key; its value is as it was."),
    Kind(
        "secret_opened",
        "Ingest opened a secret for the source of a dataset, or the transformer the key it hashes with.",
    ),
    Kind(
        "source_released",
        "What a source kept outside of Headrace, such as its replication slot, was taken away, as nothing needs it any more.",
    ),
    Kind("run_begun", "A full load, a backfill or the run of a model began."),
    Kind("run_waits", "A run waits for what it reads, or is tried again."),
    Kind("run_reads", "How far a run is, told every few seconds."),
    Kind("run_read", "A run was read to its end."),
    Kind("run_ended", "A run ended, and does not show: it was refused or cancelled."),
    Kind("export_done", "An export that was made in the background is ready; its file is kept for a while."),
    Kind("export_failed", "An export that was made in the background failed."),
    Kind("run_shown", "A full load, or the run of a model, shows."),
)

_INCIDENTS: Final = (
    Kind(
        "dataset_stopped",
        "A service stopped working on a dataset; its other datasets go on.",
        "Read the message and the service's log, mend the cause, then apply the dataset anew or restart the service.",
    ),
    Kind(
        "generation_stopped",
        "A service stopped working on a generation of a dataset that is not the live one.",
        "`headrace generations ls DATASET` shows which. Read the message; retire it, and replay a file that is mended.",
    ),
    Kind(
        "row_held",
        "A row fails a check of severity hold: its dataset is stopped in front of it, on purpose; other datasets go on.",
        "`headrace hold ls` shows the row; let it go on or set it aside with `headrace hold release`.",
    ),
    Kind(
        "source_down",
        "A source does not answer; it is tried again, and read on from where it was when it is back.",
        "Read the message. Mend the source, or its settings; nothing else has to be done.",
    ),
    Kind(
        "holding_left",
        "A source is gone, and something that it kept outside of Headrace is still there; it is tried again.",
        "Read the message: it says what is left, why, and how to take it away by hand. What is gone for ever anyway, "
        "`headrace source release DATASET --abandon --because TEXT` gives up.",
    ),
    Kind(
        "schema_drift",
        "Rows are set aside because their source is no longer what it was: a column is new, or its values are of another type.",
        "`headrace drift ls DATASET` shows what it hits; decide with `headrace drift accept`, `map`, `cast` or `reject`.",
    ),
    Kind(
        "run_failed",
        "The source of a full load, or the query of a model, fails each time it is tried; the load before still shows.",
        "Read the message, mend the cause, then `headrace runs start DATASET`; a scheduled run begins when it is due.",
    ),
    Kind(
        "run_refused",
        "A full load came to its end and is not whole; the one before still shows.",
        "Read the message, mend the cause, then `headrace runs start DATASET`.",
    ),
)

EVENTS: Final = {kind.code: kind for kind in _EVENTS}
INCIDENTS: Final = {kind.code: kind for kind in _INCIDENTS}
