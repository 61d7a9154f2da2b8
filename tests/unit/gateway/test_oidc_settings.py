"""What is set about an OpenID provider: a setting that would let in nobody, or too many, is refused at the start."""

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.core.oidc import account, trusted_url
from services.gateway.oidc_settings import OidcSettings

GOOD: dict[str, Any] = {
    "gateway_public_url": "https://headrace.example.org/",
    "oidc_issuer": "https://id.example.org/realms/data",
    "oidc_group_roles": {"/nyc": ["analyst@domain:nyc", "viewer@*"]},
    "oidc_who": "mapped",
}


def test_what_is_set_well_is_taken() -> None:
    settings = OidcSettings.model_validate(GOOD)
    assert [(each.group, each.role, str(each.scope)) for each in settings.group_roles] == [
        ("/nyc", "analyst", "domain:nyc"),
        ("/nyc", "viewer", "*"),
    ]
    assert OidcSettings().oidc_issuer is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"oidc_issuer": "http://id.example.org"}, "https"),
        ({"gateway_public_url": None}, "HEADRACE_GATEWAY_PUBLIC_URL"),
        ({"gateway_public_url": "http://headrace.example.org"}, "HEADRACE_GATEWAY_PUBLIC_URL"),
        ({"oidc_algorithms": ["HS256"]}, "RS256"),
        ({"oidc_algorithms": ["none"]}, "RS256"),
        ({"oidc_algorithms": []}, "at least 1"),
        ({"oidc_scopes": ["profile"]}, "openid"),
        ({"oidc_group_roles": {"/nyc": ["owner@*"]}}, "owner@"),
        ({"oidc_group_roles": {"/nyc": ["viewer@nyc"]}}, "no scope"),
        ({"oidc_group_roles": {}}, "lets nobody in"),
    ],
)
def test_what_is_not_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OidcSettings.model_validate(GOOD | wrong)


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://id.example.org", True),
        ("http://127.0.0.1:8080/realms/data", True),
        ("http://localhost", True),
        ("http://127.0.0.1.evil.test", False),
        ("http://localhost@evil.test", False),
        ("https://", False),
        ("file:///etc/passwd", False),
        ("http://[", False),
    ],
)
def test_a_provider_is_asked_by_https_or_on_this_machine(url: str, trusted: bool) -> None:
    assert trusted_url(url) is trusted


@pytest.mark.parametrize(
    ("claims", "claim", "groups"),
    [
        ({"groups": ["b", "a", "a", 1, "", "x\ny"]}, "groups", ("a", "b")),
        ({"groups": "one"}, "groups", ("one",)),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ("a",)),
        ({"https://example.org/groups": ["a"]}, "https://example.org/groups", ("a",)),
        ({"groups": {"a": 1}}, "groups", ()),
        ({}, "realm_access.roles", ()),
    ],
)
def test_groups_are_texts_in_the_claim_that_is_set(claims: dict[str, Any], claim: str, groups: tuple[str, ...]) -> None:
    assert account({"iss": "i", "sub": "s"} | claims, claim).groups == groups


def test_a_name_is_one_line() -> None:
    somebody = account({"iss": "i", "sub": "s", "name": " Ada\r\nLovelace\x00 ", "email": ["no text"]}, "groups")
    assert (somebody.name, somebody.email) == ("Ada Lovelace", "")
    assert account({"iss": "i", "sub": "s2"}, "groups").principal_id != somebody.principal_id
