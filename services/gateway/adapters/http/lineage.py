"""Routes: what a dataset comes from, what comes from it, and who breaks when a column goes."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from headrace.access.book import Caller
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Seeing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.models import catalog as bodies
from services.gateway.adapters.http.problems import ProblemError
from services.gateway.core.catalog_lineage import Broken, Direction, Edge
from services.gateway.core.veil import HIDDEN, veiled
from services.gateway.gateway import Gateway
from services.gateway.listing import USED_DAYS, Listed

router = APIRouter(prefix=PREFIX, tags=["catalog"])

Hides = Callable[[str], bool]


@router.get(
    "/catalog/{name}/lineage", summary="What a dataset comes from, and what comes from it", responses=may_answer()
)
def lineage(
    name: models.Name,
    gateway: Parts,
    caller: Seeing,
    direction: Annotated[Direction, Query(description="Where to look.")] = "both",
    depth: Annotated[int, Query(ge=1, le=20, description="How many steps.")] = 3,
) -> bodies.Lineage:
    """Datasets and columns around one, by what their files say: sources, models, transforms, checks that refer to others.

    A dataset that you may not see is shown as one, without its name; what lies behind it is shown.
    """
    known(gateway.datasets, name)
    graph = gateway.catalog.lineages.around(name, direction, depth)
    hides = gateway.catalog.listing.hides(caller.access)
    ids = _ids(graph.distances, hides)
    seen = {each: _listed(gateway, caller, each) for each in graph.distances if not hides(each)}
    nodes = [_node(each, ids[each], distance, seen.get(each)) for each, distance in graph.distances.items()]
    edges = [_edge(each, ids, seen.keys() >= {each.origin, each.dataset}) for each in graph.edges]
    read = [(each, listed) for each, listed in seen.items() if listed is not None and direction != "downstream"]
    for each, listed in read:
        if listed.entry.source not in ("model", "dataset"):
            nodes.append(_source(each, listed, graph.distances[each] - 1))
            edges.append(
                bodies.LineageEdge(origin=f"source:{each}", reader=each, how=["source"], checks=[], columns=[])
            )
    return bodies.Lineage(nodes=nodes, edges=edges, cut=graph.cut)


@router.get("/catalog/{name}/impact", summary="Who breaks if a column goes", responses=may_answer())
def impact(
    name: models.Name,
    gateway: Parts,
    caller: Seeing,
    column: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=128,
            description="The column that would go; all of the dataset when left out.",
            examples=["dep_delay"],
        ),
    ] = None,
) -> bodies.ColumnImpact:
    """Datasets, models, checks, tests and settings that lean on a column, directly or through columns computed from it.

    Refused: a column that the dataset is not known to have (422).
    """
    known(gateway.datasets, name)
    if column is not None:
        column = _spelled(gateway, caller, name, column)
    broken, graph = gateway.catalog.lineages.broken_by(name, column)
    hides = gateway.catalog.listing.hides(caller.access)
    leaning = [each for each in graph.distances if each != name]
    told = {each.dataset: _listed(gateway, caller, each.dataset) for each in broken if not hides(each.dataset)}
    since = (datetime.now(UTC) - timedelta(days=USED_DAYS)).date()
    asked = {user.principal for each in {name, *told} for user in gateway.catalog.usage.users(each, since)}
    return bodies.ColumnImpact(
        column=column,
        items=[_item(each, told.get(each.dataset), hides) for each in sorted(broken, key=lambda each: each.distance)],
        leaning=len(leaning),
        hidden=sum(hides(each) for each in leaning),
        owners=sorted({listed.entry.owner for listed in told.values() if listed is not None}),
        users=len(asked),
    )


def _listed(gateway: Gateway, caller: Caller, name: str) -> Listed | None:
    return gateway.catalog.listing.get(caller.access, name, datetime.now(UTC))


def _ids(names: Iterable[str], hides: Hides) -> dict[str, str]:
    """What each dataset is called in the answer: those that are hidden are numbered."""
    ids: dict[str, str] = {}
    number = 0
    for name in names:
        number += hides(name)
        ids[name] = f"hidden-{number}" if hides(name) else name
    return ids


def _node(name: str, identity: str, distance: int, listed: Listed | None) -> bodies.LineageNode:
    if listed is None:
        return bodies.LineageNode(
            id=identity, name=None, label=HIDDEN, kind="hidden", distance=distance, owner="", state=None
        )
    return bodies.LineageNode(
        id=identity,
        name=name,
        label=name,
        kind=_kind(listed),
        distance=distance,
        owner=listed.entry.owner,
        state=listed.state,
    )


def _kind(listed: Listed) -> Literal["dataset", "model"]:
    return "model" if listed.entry.source == "model" else "dataset"


def _source(name: str, listed: Listed, distance: int) -> bodies.LineageNode:
    return bodies.LineageNode(
        id=f"source:{name}",
        name=None,
        label=listed.entry.source,
        kind="source",
        distance=distance,
        owner=listed.entry.owner,
        state=None,
    )


def _edge(edge: Edge, ids: dict[str, str], seen: bool) -> bodies.LineageEdge:
    columns = [bodies.LineageColumn(**asdict(column)) for column in edge.columns] if seen else []
    return bodies.LineageEdge(
        origin=ids[edge.origin],
        reader=ids[edge.dataset],
        how=list(edge.how),
        checks=list(edge.checks) if seen else [],
        columns=columns,
    )


def _item(broken: Broken, listed: Listed | None, hides: Hides) -> bodies.ImpactItem:
    if listed is None:
        nothing: dict[str, list[str]] = {
            name: [] for name in ("reads", "columns", "perhaps", "conditions", "checks", "tests", "settings")
        }
        return bodies.ImpactItem(dataset=None, via=None, kind="hidden", distance=broken.distance, owner="", **nothing)
    via_hidden = bool(broken.via) and hides(broken.via)
    return bodies.ImpactItem(
        dataset=broken.dataset,
        via=None if via_hidden or not broken.via else broken.via,
        kind=_kind(listed),
        distance=broken.distance,
        owner=listed.entry.owner,
        reads=[] if via_hidden else list(broken.reads),
        columns=list(broken.columns),
        perhaps=list(broken.perhaps),
        conditions=veiled(broken.conditions, hides),
        checks=list(broken.checks),
        tests=list(broken.tests),
        settings=list(broken.settings),
    )


def _spelled(gateway: Gateway, caller: Caller, name: str, column: str) -> str:
    """The column as it is spelled. Errors: ProblemError (422) when the dataset has none of this name."""
    listed = _listed(gateway, caller, name)
    entry = listed.entry if listed is not None else None
    columns = (
        [] if entry is None else [*(each.name for each in entry.columns), *gateway.catalog.listing.observed(entry)]
    )
    if not columns:  # neither declared nor seen: it may be there
        return column
    found = next((each for each in columns if each.lower() == column.lower()), None)
    if found is None:
        detail = f"{name} has no column {column[:60]!r}; it has {', '.join(dict.fromkeys(columns))}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown-column", "There is no such column", detail)
    return found
