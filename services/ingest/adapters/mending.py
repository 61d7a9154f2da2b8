"""How a dataset's source rows are read that do not fit."""

from headrace.contract import Contract
from services.ingest.adapters.expressions import values_of
from services.ingest.core.mending import Mending


def mending_of(contract: Contract) -> Mending:
    """As its file says."""
    nulls = getattr(getattr(contract.source, "csv", None), "null_values", [""])
    return Mending(contract.source.drift, contract.schema_.evolution, nulls, values_of, contract.source.passes_on)
