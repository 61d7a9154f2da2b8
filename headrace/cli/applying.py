"""In which order dataset files are applied, and when the next one may be."""

from collections.abc import Sequence
from typing import Final

from headrace.cli.documents import Document
from headrace.cli.progress import LoadBoard
from headrace.cli.render import count
from headrace.client import Applied, Client, Ledger, Plan, Refusal
from headrace.contract import dependencies, in_dependency_order
from headrace.transform.trial import run_tests

_UNKNOWN_PARENTS: Final = "unknown-parents"  # the gateway's code


def in_order(documents: Sequence[Document]) -> list[Document]:
    """The documents with parents before children. Errors: ContractError when they refer to one another in a circle."""
    by_name = {document.valid.dataset: document for document in documents}
    return [by_name[contract.dataset] for contract in in_dependency_order([d.valid for d in documents])]


def planned(client: Client, documents: Sequence[Document]) -> list[Plan]:
    """What applying these documents together would do: a parent among them is not unknown, though not live yet.

    The tests are run here: a gateway runs those of a file only when it is applied.
    """
    together = {document.valid.dataset for document in documents}
    plans = []
    for document in documents:
        plan = client.datasets.plan(document.whole)
        if dependencies(document.valid) <= together:
            plan = plan.model_copy(update={"refusals": tuple(r for r in plan.refusals if r.code != _UNKNOWN_PARENTS)})
        verdicts = run_tests(document.valid)
        plan = plan.model_copy(update={"tests_passed": sum(verdict.passed for verdict in verdicts)})
        if failed := [verdict.test for verdict in verdicts if not verdict.passed]:
            detail = f"{count(len(failed), 'test')} failed ({', '.join(failed)}); see them with: headrace test {document.origin}"
            plan = plan.model_copy(update={"refusals": (*plan.refusals, Refusal(code="failed-tests", detail=detail))})
        plans.append(plan)
    return plans


def apply_in_order(
    client: Client,
    documents: Sequence[Document],
    board: LoadBoard,
    *,
    wait: bool,
    timeout_s: float,
    skip_tests: str | None = None,
) -> tuple[list[Applied], list[Ledger]]:
    """Apply every document, each after the parents it has among them have settled; with `wait`, until all have.

    `skip_tests` says why the gateway shall not run their tests. Returns what applying did, and the books of the datasets
    that were waited for.
    """
    applied: list[Applied] = []
    settled: dict[str, Ledger] = {}
    together = {document.valid.dataset for document in documents}

    def settle(datasets: set[str]) -> None:
        waiting = sorted(datasets - settled.keys())
        settled.update(client.datasets.wait_all_settled(waiting, timeout_s, board.update))

    for document in documents:
        settle(dependencies(document.valid) & together)
        done = client.datasets.apply(document.valid.dataset, document.whole, skip_tests=skip_tests)
        applied.append(done)
        board.begin(
            done.name, f"version {done.version} applied" if done.changed else f"version {done.version}, unchanged"
        )
    if wait:
        settle(together)
    return applied, [settled[name] for document in documents if (name := document.valid.dataset) in settled]
