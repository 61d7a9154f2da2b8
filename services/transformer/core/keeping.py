"""Decides whether reference data that was kept can be read on from where it stands."""

from collections.abc import Mapping

from headrace.transform.kept import Found, Kept


def reason_to_read_anew(found: Found, wanted: Kept, marks: Mapping[int, tuple[int, int]]) -> str | None:
    """Why a table is to be read from the beginning; None when it can be read on.

    Shapes: `marks` are the first offset and the end of each partition of the topic. A table that holds rows from before the first
    offset is right: they were published, and nobody took them back. One that has not read all from before it lacks changes.
    """
    kept = found.kept
    if kept.generation != wanted.generation:
        return f"generation {wanted.generation} is live, and it was read from generation {kept.generation}"
    if kept.topic_id != wanted.topic_id:
        return "its topic was deleted and made again"
    if kept.shape != wanted.shape:
        return "other columns of it are wanted now, or it has another key"
    if wanted.aged and not kept.aged:
        return "rows of it were resubmitted or had waited, and how old each is was not kept"
    for part, offset in sorted(found.offsets.items()):
        first, end = marks.get(part, (0, 0))
        if offset > end:
            return f"partition {part} of its topic ends at {end}, and had been read up to {offset}"
        if offset < first:
            return f"partition {part} of its topic begins at {first}, and had been read up to {offset}"
    return None
