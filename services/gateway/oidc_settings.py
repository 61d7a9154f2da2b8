"""What the gateway is told about an OpenID provider by its environment."""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.gateway.core.oidc import Algorithm, GroupRole, trusted_url
from services.gateway.sign_in_settings import SignInSettings


class OidcSettings(SignInSettings):
    """The provider people sign in at, if there is one (docs/sign-in-with-oidc.md)."""

    oidc_issuer: str | None = Field(
        None, description="The OpenID provider people sign in at, such as https://id.example.org/realms/data."
    )
    oidc_client_id: str = Field("headrace", min_length=1, description="What the gateway is called at the provider.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="The gateway's secret at the provider. Left out, it is a public client there."
    )
    oidc_scopes: list[str] = Field(["openid", "profile", "email"], description="What is asked for; openid among it.")
    oidc_algorithms: list[Algorithm] = Field(
        ["RS256"], min_length=1, description="What an ID token may be signed with: RS256, PS256, ES256, EdDSA."
    )
    oidc_groups_claim: str = Field(
        "groups", min_length=1, description="The claim with somebody's groups; within others as realm_access.roles."
    )
    oidc_group_roles: dict[str, list[str]] = Field(
        {}, description='What groups may do: {"/nyc": ["engineer@domain:nyc"], "/admins": ["admin@*"]}.'
    )
    oidc_who: Literal["anybody", "mapped"] = Field(
        "anybody", description="Who may sign in: anybody the provider knows, or whoever is in a group with roles."
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _https(cls, issuer: str | None) -> str | None:
        if issuer is not None and not trusted_url(issuer):
            raise ValueError("an issuer is asked by https, or by http on this machine")
        return issuer

    @field_validator("oidc_group_roles")
    @classmethod
    def _parsed(cls, roles: dict[str, list[str]]) -> dict[str, list[str]]:
        _roles(roles)
        return roles

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "openid" not in self.oidc_scopes:
            raise ValueError("HEADRACE_OIDC_SCOPES must have openid: without it there is no ID token")
        if self.oidc_issuer is not None and not trusted_url(self.gateway_public_url or ""):
            raise ValueError(
                "HEADRACE_OIDC_ISSUER needs HEADRACE_GATEWAY_PUBLIC_URL, where the provider sends browsers back to: https, or "
                "http on this machine"
            )
        if self.oidc_who == "mapped" and not self.oidc_group_roles:
            raise ValueError("HEADRACE_OIDC_WHO=mapped lets nobody in while HEADRACE_OIDC_GROUP_ROLES is empty")
        return self

    @property
    def group_roles(self) -> tuple[GroupRole, ...]:
        """What groups may do."""
        return _roles(self.oidc_group_roles)


def _roles(written: dict[str, list[str]]) -> tuple[GroupRole, ...]:
    return tuple(GroupRole.parse(group, text) for group, texts in written.items() for text in texts)
