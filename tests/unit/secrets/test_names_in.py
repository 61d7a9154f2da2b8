"""Which secrets settings refer to, wherever they stand in them."""

from headrace.secrets.reference import names_in


def test_references_are_found_at_any_depth() -> None:
    settings = {
        "password": "secret://db.password",
        "auth": {"client": {"id": "me", "secret": "secret://oauth"}},
        "headers": [{"X-Key": "secret://key"}, "secret://key"],
    }
    assert names_in(settings) == {"db.password", "oauth", "key"}


def test_what_is_no_reference_is_none() -> None:
    assert (
        names_in({"a": "secret://", "b": "SECRET://a", "c": "see secret://a", "d": 1, "e": None, "f": ["secret://A"]})
        == set()
    )
