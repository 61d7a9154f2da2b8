"""Which column a source's field becomes. Any name can travel; a leading underscore is reserved for system columns."""

from collections.abc import Iterable


def column_name(field: str) -> str:
    """`field` as a column's name: leading underscores move to its end (`_id` becomes `id_`)."""
    bare = field.lstrip("_")
    return bare + "_" * (len(field) - len(bare)) if bare else f"column{field}"


def column_names(header: Iterable[str]) -> list[str]:
    """A name for each field of a header; unnamed fields are named by their place from 0, repeated names get a suffix."""
    names: list[str] = []
    for place, field in enumerate(header):
        wanted = column_name(field.strip()) if field.strip() else f"column{place}"
        name, repeat = wanted, 2
        while name in names:
            name, repeat = f"{wanted}_{repeat}", repeat + 1
        names.append(name)
    return names
