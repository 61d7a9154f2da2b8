"""Bodies: signing in, and who is signed in."""

from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from headrace.access.policy import Role
from headrace.contract.fields import Classification
from services.gateway.adapters.http.models.words import Answer, Body

_PASSWORD = Field(max_length=4000, examples=["correct horse battery staple"])
_NEW_PASSWORD = Field(
    max_length=4000,
    description="At least 12 characters, and none of those that are guessed first.",
    examples=["correct horse battery staple"],
)
_CODE = Field(max_length=200, description="The code of the link.", examples=["kJ3mVd0aXw..."])


class SignIn(Body):
    """Who somebody says they are."""

    recorded = frozenset({"name"})

    name: str = Field(max_length=200, description="In any spelling.", examples=["ada"])
    password: SecretStr = _PASSWORD


class Setup(Body):
    """The first administrator."""

    recorded = frozenset({"name"})

    code: SecretStr = _CODE
    name: str = Field(
        min_length=1, max_length=100, pattern=r"^\w[\w .@:/-]*$", description="Shown and logged.", examples=["ada"]
    )
    password: SecretStr = _NEW_PASSWORD


class PasswordReset(Body):
    """A password for whoever was given the link."""

    code: SecretStr = _CODE
    password: SecretStr = _NEW_PASSWORD


class PasswordChange(Body):
    """Another password."""

    old: SecretStr = _PASSWORD
    new: SecretStr = _NEW_PASSWORD


class OneTimeLink(Answer):
    """A link for one person and one use. This is the only time it is shown."""

    path: str = Field(
        description="The link, after the address of the gateway.", examples=["/sign-in#setup=kJ3mVd0aXw..."]
    )
    expires_at: datetime = Field(description="It is worth nothing from then on.")


class Session(Answer):
    """Somebody who is signed in somewhere."""

    id: str = Field(examples=["9f86d081884c7d65"])
    user: str = Field(description="Whose it is, by id.")
    name: str = Field(description="Their name; empty when they are gone.", examples=["ada"])
    opened_at: datetime = Field(description="When they signed in.")
    seen_at: datetime = Field(description="When it was last used, to the minute.")
    ends_at: datetime = Field(description="When it ends if it is not used any more.")
    address: str = Field(description="From where they signed in.", examples=["192.0.2.7"])
    agent: str = Field(description="With what, as it says itself.", examples=["Mozilla/5.0 ..."])


class Sessions(Answer):
    """Sessions, the newest first."""

    items: list[Session]


class OwnGrant(Answer):
    """Something the caller may do."""

    role: Role
    scope: str = Field(examples=["domain:nyc"])
    rows: str = Field(description="The condition rows have to meet to show; empty for none.")
    clearance: Classification | None = Field(
        description="Up to which classification values show; null: that of the role."
    )


class WhoAmI(Answer):
    """Who is calling, and what they may do."""

    id: str
    kind: Literal["user", "service"]
    name: str = Field(examples=["ada"])
    email: str
    groups: list[str]
    grants: list[OwnGrant]
    administrator: bool = Field(description="Whether they may administer everything.")
    session: Session | None = Field(description="Null with a bearer token.")
    csrf: str | None = Field(
        description="For the header X-CSRF-Token of whatever changes something. Null with a bearer token, which needs none."
    )
