"""How a name that Avro does not allow is spelt in Avro: ISO 9075-14 escapes, `dep time` -> `dep_x0020_time`.

The escape depends on the name alone, so a column keeps its Avro name whatever columns come or go beside it,
and two columns never share one. The original travels in the field's attribute `headrace.name`.
"""

import re
from typing import Final

ORIGINAL: Final = "headrace.name"

_VALID: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOKS_ESCAPED: Final = re.compile(r"_(?=x[0-9A-F]*_)")
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9_]|^[0-9]")


def avro_name(name: str) -> str:
    """A valid Avro name for `name`: itself when it is one, else with each offending character escaped."""
    if _VALID.fullmatch(name) and not _LOOKS_ESCAPED.search(name):
        return name
    if not name:
        return "_x_"
    literal = _LOOKS_ESCAPED.sub("_x005F_", name)
    return _NOT_ALLOWED.sub(lambda found: f"_x{ord(found.group()):04X}_", literal)


def avro_full_name(name: str) -> str:
    """The full name of a dataset's record: each dotted part a valid Avro name."""
    return ".".join(avro_name(part) for part in name.split("."))
