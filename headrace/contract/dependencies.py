"""Which datasets a dataset leans on, and in which order they can be brought up."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from headrace.contract.checks import References
from headrace.contract.model import Contract
from headrace.contract.sql import examine
from headrace.errors import ContractError, Problem


def dependencies(contract: Contract) -> set[str]:
    """The datasets whose rows are needed to work on this one's."""
    checked = {check.dataset for check in contract.checks if isinstance(check, References)}
    return checked | set(examine(contract.transform.sql).references) | set(contract.source.reads)


def in_dependency_order(contracts: Iterable[Contract]) -> list[Contract]:
    """The contracts, each after those it depends on; datasets that are not among them are taken to exist.

    Errors: ContractError when some depend on each other.
    """
    by_name = {contract.dataset: contract for contract in contracts}
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(by_name):
        sorter.add(name, *sorted(dependencies(by_name[name]) & by_name.keys()))
    try:
        return [by_name[name] for name in sorter.static_order()]
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        found = f"datasets that wait for each other: {' -> '.join(cycle)}"
        expected = "references in one direction only"
        raise ContractError([Problem(0, 0, "", found, expected)], cycle[0]) from None
