"""Routes: find datasets, and see what there is to know of each."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from headrace.access.book import Caller
from headrace.access.policy import Action
from headrace.contract import diff
from headrace.contract.dependencies import dependencies
from headrace.contract.fields import Classification
from headrace.contract.odcs import to_odcs
from services.gateway.adapters.http import models
from services.gateway.adapters.http.access import PREFIX, Parts, Seeing, may_answer
from services.gateway.adapters.http.datasets import known
from services.gateway.adapters.http.models import catalog as bodies
from services.gateway.adapters.http.problems import ProblemError, not_found
from services.gateway.core.catalog_entry import CatalogEntry
from services.gateway.core.catalog_state import Freshness, State
from services.gateway.core.catalog_view import shows, without_values
from services.gateway.core.column_profiles import ColumnProfile, shares
from services.gateway.core.veil import HIDDEN, veiled
from services.gateway.gateway import Gateway
from services.gateway.listing import FACETS, Listed, Rank, Sort, Wanted

router = APIRouter(prefix=PREFIX, tags=["catalog"])

_MOST_VALUES: Final = 100
_YAML: Final = "application/yaml"
_SEEN: Final = may_answer(HTTPStatus.NOT_FOUND)

Choice = Annotated[list[str] | None, Query(max_length=50, description="Any of these; repeat it for several.")]


@router.get("/catalog", summary="Find datasets", responses=may_answer(HTTPStatus.BAD_REQUEST))
def find(
    gateway: Parts,
    caller: Seeing,
    q: Annotated[
        str,
        Query(
            max_length=200,
            description="Words, or their beginnings, all of which a dataset has: in its name, tags, columns, owner, description "
            "or notes. A word that none has stands for those written almost so.",
            examples=["flight delay"],
        ),
    ] = "",
    domain: Choice = None,
    owner: Choice = None,
    tag: Choice = None,
    classification: Annotated[list[Classification] | None, Query(max_length=4)] = None,
    state: Annotated[list[State] | None, Query(max_length=6)] = None,
    freshness: Annotated[list[Freshness] | None, Query(max_length=4)] = None,
    favourites: Annotated[bool, Query(description="Only yours.")] = False,
    sort: Annotated[
        Sort,
        Query(
            description="`relevance`: what fits best first, by name where nothing is searched; `used`: most queried first."
        ),
    ] = "relevance",
    limit: Annotated[int, Query(ge=1, le=200, description="The most datasets of a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")] = None,
) -> bodies.CatalogPage:
    """The datasets that you may see, with how many there are of each kind.

    State and freshness are at most a few seconds old.
    """
    chosen = (domain, owner, tag, classification, state, freshness)
    facets = tuple((name, tuple(values or ())) for name, values in zip(FACETS, chosen, strict=True))
    mine = gateway.catalog.favourites.of(caller.principal.id)
    wanted = Wanted(q, facets, sort, mine if favourites else None)
    found = gateway.catalog.listing.find(caller.access, wanted, limit, _after(cursor), datetime.now(UTC))
    hidden = gateway.catalog.listing.hides(caller.access)
    return bodies.CatalogPage(
        items=[bodies.CatalogItem(**_item(listed, mine, hidden)) for listed in found.items],
        total=found.total,
        facets={name: _counted(found.facets.get(name, {}), hidden) for name in FACETS},
        next_cursor=None if found.after is None else _cursor(found.after),
    )


@router.get("/catalog/{name}", summary="What there is to know of a dataset", responses=_SEEN)
def show(name: models.Name, gateway: Parts, caller: Seeing) -> bodies.CatalogDataset:
    """A dataset with its columns, what their values look like, who owns it and what it promises.

    Values (examples, least and greatest) are there where you may query the dataset, and for columns that you see of every row.
    """
    listed = _listed(gateway, caller, name)
    entry, hidden = listed.entry, gateway.catalog.listing.hides(caller.access)
    notes = gateway.catalog.notes.standing(name)
    contract = known(gateway.datasets, name).contract()
    return bodies.CatalogDataset(
        **_item(listed, gateway.catalog.favourites.of(caller.principal.id), hidden),
        note=notes.get("", ""),
        load_mode=contract.load.mode,
        fresh_within_s=entry.fresh_within_s,
        schema=_columns(gateway, caller, entry, contract.key, notes, hidden),
        sla=[bodies.ServiceLevel(**_veiled_promise(promise, hidden)) for promise in entry.promises],
        needs=sorted({HIDDEN if hidden(each) else each for each in dependencies(contract)}),
    )


@router.get("/catalog/{name}/versions", summary="What each version of a dataset changed", responses=_SEEN)
def versions(
    name: models.Name,
    gateway: Parts,
    caller: Seeing,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only versions before this one.")] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="The most versions.")] = 20,
) -> bodies.CatalogVersions:
    """The versions of its file, the newest first: what each changed, when, and by whom.

    Values out of rows, as in examples and tests, are left out where the dataset's values are hidden from you.
    """
    entry, hidden = _listed(gateway, caller, name).entry, gateway.catalog.listing.hides(caller.access)
    sight = caller.access.sight(Action.QUERY, entry.asset)
    rows = gateway.catalog.reader.versions(name, before, limit + 1)
    contracts = [without_values(row.contract(), sight) for row in rows]
    items = []
    for at, row in enumerate(rows[:limit]):
        older = contracts[at + 1] if at + 1 < len(rows) else None
        changes = [] if older is None else [asdict(change) for change in diff(older, contracts[at])]
        items.append(
            bodies.CatalogVersion(
                **{field: value for field, value in row._asdict().items() if field != "document"},
                changes=[models.Change(**veiled(change, hidden)) for change in changes],
            )
        )
    return bodies.CatalogVersions(items=items, next_before=items[-1].version if len(rows) > limit else None)


@router.get(
    "/catalog/{name}/contract",
    summary="The contract of a dataset",
    response_class=JSONResponse,
    responses=_SEEN
    | {
        HTTPStatus.OK.value: {
            "description": "The contract, in the Open Data Contract Standard v3.",
            "content": {"application/json": {"schema": {"type": "object"}}, _YAML: {"schema": {"type": "string"}}},
        }
    },
)
def contract(
    name: models.Name,
    gateway: Parts,
    caller: Seeing,
    format: Annotated[Literal["json", "yaml"], Query(description="How it is written.")] = "json",
) -> Response:
    """The contract as the Open Data Contract Standard v3 writes it.

    Values out of rows, as in examples and tests, are left out where the dataset's values are hidden from you.
    """
    entry, hidden = _listed(gateway, caller, name).entry, gateway.catalog.listing.hides(caller.access)
    sight = caller.access.sight(Action.QUERY, entry.asset)
    standard = to_odcs(without_values(known(gateway.datasets, name).contract(), sight))
    plain = veiled(standard.model_dump(mode="json", by_alias=True, exclude_none=True), hidden)
    if format == "json":
        return JSONResponse(plain)
    return Response(type(standard).model_validate(plain).to_yaml(), media_type=_YAML)


@router.get("/catalog/{name}/storage", summary="Where the rows of a dataset are kept", responses=_SEEN)
def storage(name: models.Name, gateway: Parts, _: Seeing) -> bodies.Storage:
    """How much there is in each of its topics, in the lake and in the warehouse. What does not answer says so."""
    return bodies.Storage(
        items=[bodies.TierSize(**asdict(size)) for size in gateway.catalog.storage.of(known(gateway.datasets, name))]
    )


def _listed(gateway: Gateway, caller: Caller, name: str) -> Listed:
    listed = gateway.catalog.listing.get(caller.access, name, datetime.now(UTC))
    if listed is None:
        raise not_found(f"there is no dataset {name}")
    return listed


def _item(listed: Listed, favourites: frozenset[str], hidden: Callable[[str], bool]) -> dict[str, Any]:
    entry = listed.entry
    return {
        "name": entry.name,
        "domain": entry.domain,
        "description": veiled(entry.description, hidden),
        "owner": veiled(entry.owner, hidden),
        "people": veiled(entry.people, hidden),
        "tags": veiled(entry.tags, hidden),
        "classification": entry.classification,
        "source": entry.source,
        "state": listed.state,
        "freshness": listed.freshness,
        "last_loaded_at": listed.last_loaded_at,
        "version": entry.version,
        "generation": entry.generation,
        "changed_at": entry.changed_at,
        "changed_by": entry.changed_by,
        "columns": len(entry.columns),
        "queries": listed.queries,
        "favourite": entry.name in favourites,
    }


def _columns(
    gateway: Gateway,
    caller: Caller,
    entry: CatalogEntry,
    key: list[str],
    notes: Mapping[str, str],
    hidden: Callable[[str], bool],
) -> list[bodies.CatalogColumn]:
    """The declared columns, then those that were found in the rows."""
    sight = caller.access.sight(Action.QUERY, entry.asset)
    profiles = gateway.catalog.profiles.of(entry.name, entry.generation)
    declared = {column.name: column for column in entry.columns}
    columns = []
    for name in [*declared, *(name for name in profiles if name not in declared)]:
        column, shown = declared.get(name), shows(sight, name)
        profile = profiles.get(name)
        columns.append(
            bodies.CatalogColumn(
                name=name,
                type=column.type if column else profile.type if profile else "",
                declared=column is not None,
                required=column.required if column else False,
                description=veiled(column.description, hidden) if column else "",
                note=notes.get(name, ""),
                classification=column.classification if column else entry.classification,
                tags=veiled(column.tags, hidden) if column else [],
                key=name in key,
                hidden=not shown,
                examples=veiled(column.examples, hidden) if column and shown else [],
                profile=_profile(profile, shown) if profile else None,
            )
        )
    return columns


def _profile(profile: ColumnProfile, shown: bool) -> bodies.Profile:
    return bodies.Profile(
        rows=profile.rows,
        **shares(profile),
        distinct_at_least=profile.distinct_at_least,
        min=profile.least if shown else None,
        max=profile.greatest if shown else None,
        mean=profile.mean if shown else None,
        deviation=profile.deviation if shown else None,
        profiled_at=profile.profiled_at,
    )


def _veiled_promise(promise: Mapping[str, Any], hidden: Callable[[str], bool]) -> dict[str, Any]:
    return {name: veiled(promise.get(name), hidden) for name in bodies.ServiceLevel.model_fields}


def _counted(counts: Mapping[str, int], hidden: Callable[[str], bool]) -> list[bodies.FacetValue]:
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_MOST_VALUES]
    return [bodies.FacetValue(value=veiled(value, hidden), count=count) for value, count in ordered]


def _cursor(rank: Rank) -> str:
    return urlsafe_b64encode(json.dumps(rank).encode()).decode().rstrip("=")


def _after(cursor: str | None) -> Rank | None:
    """The rank that a cursor stands for. Errors: ProblemError (400)."""
    if cursor is None:
        return None
    try:
        rank, name = json.loads(urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
        return float(rank), str(name)
    except (ValueError, TypeError, OverflowError):
        detail = f"{cursor[:40]!r} is no cursor of this API: leave it out to begin at the first page"
        raise ProblemError(HTTPStatus.BAD_REQUEST, "bad-cursor", "The cursor is not one", detail) from None
