"""Calls about sources that drift from what they were."""

from typing import Final, Literal, TypeAlias

from headrace.client.call import Call, get, post
from headrace.client.method import Group, WireT, call
from headrace.client.results import Drift, DriftDecided

_ASKING_S: Final = 300.0  # many rows are asked for one by one

DriftAct: TypeAlias = Literal["accept", "map", "cast", "leave-out", "reject"]


class DriftCalls(Group[WireT]):
    """How sources drift."""

    @call
    def get(self, dataset: str) -> Call[Drift]:
        """How the source of a dataset drifts from what it was."""
        return get("/datasets/{name}/drift", name=dataset).one(Drift)

    @call
    def decide(
        self,
        dataset: str,
        column: str,
        act: DriftAct,
        because: str,
        *,
        to: str | None = None,
        expression: str | None = None,
        type: str | None = None,
        dry_run: bool = False,
    ) -> Call[DriftDecided]:
        """Decide what becomes of a column that drifts, and of the rows that were set aside for it.

        `to`: of map the column it is, of accept where texts are kept; `expression`: of cast, SQL over the row; `type`: of accept.
        """
        body = {"act": act, "because": because, "to": to, "expression": expression, "type": type, "dry_run": dry_run}
        request = post("/datasets/{name}/drift/{column}", name=dataset, column=column)
        return request.with_body(**body).within(_ASKING_S).one(DriftDecided)
