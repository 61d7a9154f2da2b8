"""Bodies: where people sign in beside name and password."""

from pydantic import Field

from services.gateway.adapters.http.models.words import Answer


class SignInProvider(Answer):
    """An OpenID provider."""

    issuer: str = Field(examples=["https://id.example.org/realms/data"])
    sign_in: str = Field(description="Open this path in a browser to sign in.", examples=["/api/v1/sign-in/oidc"])
    sign_out: str = Field(
        description="And this one to end the session at the provider, too.", examples=["/api/v1/sign-in/oidc/sign-out"]
    )


class WaysToSignIn(Answer):
    """How people sign in, beside name and password."""

    provider: SignInProvider | None = Field(description="Null when none is set.")
