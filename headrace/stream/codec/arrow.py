"""Arrow's classes as the codec sees them: which one it holds is known from a schema met at run time only."""

from typing import Any, TypeAlias

Array: TypeAlias = Any
DataType: TypeAlias = Any
Json: TypeAlias = Any  # a parsed JSON document
