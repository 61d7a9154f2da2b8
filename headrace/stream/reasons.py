"""The registered reasons a row can be quarantined for: code, the text a user sees, and what to do about it.

A code is part of the public interface (it stands in topics, in the ledger and in the warehouse): it is
added here, never renamed.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of quarantine."""

    code: str
    text: str
    remedy: str


_REASONS: Final = (
    # Met by ingest, before there is a record.
    Reason("unreadable_row", "The source row cannot be read in the source's format.", "Repair the row at its source and send it again."),
    Reason("wrong_type", "A value does not fit the type its column has had so far.", "Repair the value, or widen the column in the dataset file."),
    Reason("too_large", "The record is over the size cap.", "Raise `source.max_record_bytes` in the dataset file, have the SQL make less of the row, or split the row at its source."),
    Reason("unknown_field", "The row has a column that is not declared, and schema.evolution is quarantine.", "Declare the column in the dataset file, or set `schema.evolution: evolve`, and send the row again."),
    # Met by any stage, on decoding.
    Reason("undecodable", "The bytes are not a record of the schema they name.", "Find the producer that wrote to this topic; Headrace writes only what it can read."),
    Reason("unknown_schema", "The record names a schema id that the registry does not know.", "Restore the schema in the registry, and have the record written again."),
    Reason("not_wire_format", "The record does not start with the wire format's magic byte and schema id.", "Find the producer that wrote to this topic without the registry."),
    Reason("missing_value", "The record has no value.", "Tombstones are only meaningful in compacted topics; find the producer."),
    # Met by the transformer.
    Reason("transform_error", "The dataset's SQL fails on this row.", "Correct the row or the expression the message names."),
    Reason("too_costly", "The dataset's SQL takes more time or memory on this row than it may.", "Correct the row or the SQL; `transform_time_limit_s` and `transform_memory` of the transformer say how much it may take."),
    Reason("check_not_null", "A required value is missing.", "Repair the row at its source, or relax the not_null check."),
    Reason("check_type", "A value does not have its declared type.", "Repair the value, or change the type in the dataset file."),
    Reason("check_in", "A value is not in the allowed set.", "Repair the value, or add it to the set."),
    Reason("check_between", "A value is out of its range.", "Repair the value, or widen the range."),
    Reason("check_matches", "A value does not match its pattern.", "Repair the value, or change the pattern."),
    Reason("check_format", "A value is not written in its format.", "Repair the value, or change the format."),
    Reason("check_length", "A value is too short or too long.", "Repair the value, or widen the bounds."),
    Reason("check_references", "A value is not known to the dataset it refers to.", "Load the missing parent row, then send this one again."),
    Reason("parent_late", "A value was not known to the dataset it refers to while the row waited for it.", "Load the missing parent row, then send this one again; or let rows wait longer: `wait` of the check."),
    Reason("check_unique", "A row before it has the same values in columns that no two rows may share.", "Look at the row that the message names. Discard this one if it is the same; repair its values if it is another, and send it again."),
    Reason("check_expression", "The row breaks a rule of its dataset.", "Repair the row, or change the rule."),
    # Met by the loader.
    Reason("unloadable", "The warehouse refuses this row.", "Read the message for the column at fault; change its type or repair the row."),
)  # fmt: skip

REASONS: Final = {reason.code: reason for reason in _REASONS}
