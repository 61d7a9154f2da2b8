"""What is granted adds up, a token only narrows, and what nobody granted is refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.access.policy import (
    CLASSIFICATIONS,
    EVERYTHING,
    ROLES,
    Access,
    Action,
    Asset,
    Grant,
    Limit,
    Rows,
    Scope,
    Sight,
    sensitivity,
)

SCOPES = ("*", "domain:shop", "domain:nyc", "dataset:shop.orders", "tag:finance")
ORDERS = Asset(
    "shop.orders",
    frozenset({"finance"}),
    "internal",
    {"id": "public", "region": "internal", "email": "confidential", "iban": "restricted"},
)
ASSETS = (ORDERS, Asset("shop.visits"), Asset("nyc.flights", frozenset({"demo"}), "public"))

scopes = st.sampled_from(SCOPES).map(Scope.parse)
grants = st.builds(
    Grant,
    id=st.uuids().map(str),
    to=st.just("user:ada"),
    role=st.sampled_from(ROLES),
    scope=scopes,
    rows=st.sampled_from(["", "(a)", "(b)"]),
    clearance=st.none() | st.sampled_from(CLASSIFICATIONS),
)
several = st.lists(grants, max_size=5).map(tuple)
limits = st.builds(Limit, st.frozensets(st.sampled_from(Action)), st.lists(scopes, min_size=1, max_size=2).map(tuple))
actions, assets = st.sampled_from(Action), st.sampled_from(ASSETS)


def shown(sight: Sight | None, column: str) -> set[str]:
    """For which of these rows the column shows: one that meets a, one that meets b, and one that meets neither."""

    def meeting(rows: Rows) -> set[str]:
        return {"(a)", "(b)", "neither"} if rows == "all" else set(rows)

    return set() if sight is None else meeting(sight.rows) & meeting(sight.of_column(column))


def expected(giving: tuple[Grant, ...], action: Action, asset: Asset, column: str) -> set[str]:
    """The same, from each grant on its own."""
    found: set[str] = set()
    for grant in giving:
        if action in grant.actions and grant.scope.covers(asset) and grant.shows(asset.of_column(column)):
            found |= {"(a)", "(b)", "neither"} if not grant.rows else {grant.rows}
    return found


@given(several, actions, assets, st.sampled_from(["id", "region", "email", "iban", "unlisted"]))
def test_a_value_shows_where_one_grant_alone_would_show_it(
    giving: tuple[Grant, ...], action: Action, asset: Asset, column: str
) -> None:
    assert shown(Access(giving).sight(action, asset), column) == expected(giving, action, asset, column)


@given(several, grants, actions, assets)
def test_another_grant_takes_nothing_away(giving: tuple[Grant, ...], more: Grant, action: Action, asset: Asset) -> None:
    before, after = Access(giving), Access((*giving, more))
    assert before.may(action, asset) <= after.may(action, asset)
    assert before.sees_whole(action, asset) <= after.sees_whole(action, asset)
    for column in ("id", "iban", "unlisted"):
        assert shown(before.sight(action, asset), column) <= shown(after.sight(action, asset), column)


@given(several, limits, actions, assets)
def test_a_token_narrows(giving: tuple[Grant, ...], limit: Limit, action: Action, asset: Asset) -> None:
    without, within = Access(giving), Access(giving, limit)
    reaches = action in limit.actions and any(scope.covers(asset) for scope in limit.scopes)
    assert within.may(action, asset) == (without.may(action, asset) and reaches)
    assert within.may_everywhere(action) <= without.may_everywhere(action)
    assert within.sight(action, asset) == (without.sight(action, asset) if reaches else None)


@given(several, actions, assets)
def test_whoever_sees_single_records_sees_all_of_the_table(
    giving: tuple[Grant, ...], action: Action, asset: Asset
) -> None:
    access = Access(giving)
    if access.sees_whole(action, asset):
        sight = access.sight(action, asset)
        assert sight is not None
        assert sight.whole


@given(several, actions)
def test_what_is_allowed_everywhere_is_allowed_with_any_dataset(giving: tuple[Grant, ...], action: Action) -> None:
    access = Access(giving)
    if access.may_everywhere(action):
        assert all(access.may(action, asset) for asset in (*ASSETS, Asset("not.there")))
    if any(access.may(action, asset) for asset in ASSETS):
        assert access.may_somewhere(action)


@pytest.mark.parametrize("part", [{"rows": "(region = 'EU')"}, {"clearance": "internal"}])
def test_who_is_shown_a_part_only_administers_nothing_everywhere(part: dict[str, Any]) -> None:
    """They would make a token for somebody who is shown all, or put themselves into a group that is."""
    grant = Grant("1", "user:ada", "admin", EVERYTHING)
    assert Access((grant,)).may_everywhere(Action.ADMIN)
    partly = Access((replace(grant, **part),))
    assert not partly.may_everywhere(Action.ADMIN)
    assert not partly.may_grant(EVERYTHING)
    assert partly.may_everywhere(Action.QUERY)


def test_without_a_grant_nothing_is_allowed() -> None:
    access = Access(())
    assert not any(access.may(action, asset) for action in Action for asset in ASSETS)
    assert access.sight(Action.QUERY, ORDERS) is None
    assert not access.may_grant(EVERYTHING)


def test_values_show_up_to_the_clearance() -> None:
    grant = Grant("1", "user:ada", "analyst", EVERYTHING)
    for upto in CLASSIFICATIONS:
        sight = Access((replace(grant, clearance=upto),)).sight(Action.QUERY, ORDERS)
        assert sight is not None
        hidden = {name for name, kind in ORDERS.columns.items() if sensitivity(kind) > sensitivity(upto)}
        assert sight.masked == dict.fromkeys(hidden, ())
        assert sight.of_column("unlisted") == (() if upto == "public" else "all")
        assert sight.of_column("_ingested_at") == "all"


@pytest.mark.parametrize(
    ("own", "asked", "may"),
    [
        ("*", "*", True),
        ("*", "tag:finance", True),
        ("domain:shop", "domain:shop", True),
        ("domain:shop", "dataset:shop.orders", True),
        ("domain:shop", "dataset:shopping.orders", False),
        ("domain:shop", "*", False),
        ("domain:shop", "tag:finance", False),
        ("dataset:shop.orders", "domain:shop", False),
    ],
)
def test_who_governs_a_scope_grants_within_it(own: str, asked: str, may: bool) -> None:
    ruling = Grant("1", "user:ada", "admin", Scope.parse(own))
    assert Access((ruling,)).may_grant(Scope.parse(asked)) is may
    for lesser in (
        replace(ruling, rows="(a)"),
        replace(ruling, clearance="internal"),
        replace(ruling, role="engineer"),
    ):
        assert not Access((lesser,)).may_grant(Scope.parse(asked))


@pytest.mark.parametrize("text", ["", "all", "domain:", "dataset", "table:shop.orders", ":x"])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no scope"):
        Scope.parse(text)


@given(scopes)
def test_a_scope_is_written_as_it_is_read(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope
