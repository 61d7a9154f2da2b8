"""Bodies: who there is, what they are granted, their tokens; and the credentials of sources."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr

from headrace.access.policy import Action, Role, Scope
from headrace.contract.fields import Classification
from services.gateway.adapters.http.models.words import Answer, Body


def _scope(text: str) -> str:
    return str(Scope.parse(text))


_NAMED = r"^\w[\w .@:/-]*$"

ScopeText = Annotated[
    str,
    AfterValidator(_scope),
    Field(
        max_length=200,
        description="`*` for everything, `domain:<name>`, `dataset:<domain>.<name>` or `tag:<tag>`.",
        examples=["domain:nyc"],
    ),
]


class NewUser(Body):
    """A person, or a program with an account of its own."""

    name: str = Field(
        min_length=1, max_length=100, pattern=_NAMED, description="Unique; shown and logged.", examples=["ada"]
    )
    kind: Literal["user", "service"] = Field("user", description="A person (`user`), or a program (`service`).")
    email: str = Field("", max_length=254, pattern=r"^$|^[^@\s]+@[^@\s]+$", examples=["ada@example.com"])
    groups: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list,
        max_length=200,
        description="What is granted to these is granted to them.",
        examples=[["finance"]],
    )


class UserChange(Body):
    """What is to change about somebody; what is left out stays."""

    name: str | None = Field(
        None, min_length=1, max_length=100, pattern=_NAMED, description="Unique; shown and logged."
    )
    email: str | None = Field(None, max_length=254, pattern=r"^$|^[^@\s]+@[^@\s]+$")
    groups: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(None, max_length=200)
    active: bool | None = Field(
        None, description="false: they may do nothing, and none of their tokens is worth anything."
    )


class User(Answer):
    """Somebody who can be granted something."""

    id: str = Field(description="Names them for good.", examples=["u-9f86d081884c7d65"])
    kind: Literal["user", "service"]
    name: str = Field(examples=["ada"])
    email: str
    groups: list[str]
    active: bool


class Users(Answer):
    """Everybody, by name."""

    items: list[User]


class NewGrant(Body):
    """A role for somebody, or for a group, within a scope."""

    to: str = Field(
        max_length=220,
        pattern=r"^(user|group):.+$",
        description="`user:<name or id>` (service accounts too) or `group:<name>`.",
        examples=["user:ada", "group:finance"],
    )
    role: Role = Field(description="What they may do.", examples=["analyst"])
    scope: ScopeText
    rows: str = Field(
        "",
        max_length=2000,
        description="A condition in SQL over the published table: only rows for which it is true show. Empty: all.",
        examples=["region = 'EU'"],
    )
    clearance: Classification | None = Field(
        None,
        description="Values of columns up to this classification show; those of more sensitive columns are NULL. Left out: "
        "internal, for engineers confidential, for administrators restricted.",
    )


class Grant(Answer):
    """What was granted."""

    id: str
    to: str = Field(description="`user:<id>` or `group:<name>`.")
    name: str = Field(description="The name of who or which group it is for; empty when they are gone.")
    role: Role
    scope: str
    rows: str
    clearance: Classification


class Grants(Answer):
    """What was granted, by whom it is for."""

    items: list[Grant]


class Roles(Answer):
    """What each role may do, and up to which classification it sees values."""

    items: dict[Role, "RoleTold"]


class RoleTold(Answer):
    """A role."""

    actions: list[Action]
    clearance: Classification


class Sight(Answer):
    """What somebody sees of a dataset when they query it."""

    rows: list[str] | None = Field(description="Conditions, of which one has to be true; null: every row.")
    masked: dict[str, list[str]] = Field(
        description="Columns whose values they see only where one of these conditions is true; an empty list: nowhere."
    )
    records: bool = Field(description="Whether they see single records as they came: quarantine, passports, topics.")


class DatasetAccess(Answer):
    """What somebody may do with a dataset, and what they see of it."""

    user: User
    actions: list[Action]
    sight: Sight | None = Field(description="null: they may not query it.")
    because: list[Grant] = Field(description="The grants that say so.")


class DatasetAccesses(Answer):
    """Everybody who may do anything with a dataset, by name."""

    items: list[DatasetAccess]


class NewToken(Body):
    """What a token is for, and what it may be used for."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[\w .@:/-]+$", description="Who or what uses it.", examples=["grafana"]
    )
    owner: str | None = Field(
        None,
        max_length=100,
        description="Name or id of whom it stands for: yourself when left out, others for an administrator.",
    )
    actions: list[Action] = Field(
        default_factory=lambda: [Action.SEE, Action.QUERY],
        min_length=1,
        description="What it may be used for, of what its owner may do.",
    )
    scopes: list[ScopeText] = Field(
        default_factory=lambda: ["*"], min_length=1, max_length=100, description="Within which of these it may be used."
    )
    expires_at: AwareDatetime | None = Field(None, description="When it ceases to be worth anything; left out: never.")


class Token(Answer):
    """A token, without its secret."""

    id: str = Field(examples=["9f86d081884c7d65"])
    name: str = Field(examples=["grafana"])
    owner: str = Field(description="The name of whom it stands for.", examples=["ada"])
    actions: list[Action]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class CreatedToken(Token):
    """A new token. This is the only time its secret is shown."""

    token: str = Field(description="The bearer token.", examples=["hr_9f86d081884c7d65_kJ3..."])


class Tokens(Answer):
    """Tokens, oldest first."""

    items: list[Token]


class NewSecret(Body):
    """The value of a secret."""

    value: SecretStr = Field(
        min_length=1,
        description="The value: text of at most 64 KiB in UTF-8. No answer holds it.",
        examples=["correct horse battery staple"],
    )


class Secret(Answer):
    """A secret, without its value."""

    name: str = Field(examples=["shop.password"])
    version: int = Field(description="Counts its values since it was made, from 1.", examples=[1])
    key_id: str = Field(description="The master key it is sealed under.", examples=["2026-11"])
    set_at: datetime = Field(description="When it got its value.")
    set_by: str = Field(description="Who gave it its value; `ingest` when the source itself replaced it.")
    kept_for: str | None = Field(
        description="The dataset whose source replaced the value, as with a refresh token; null when a person set it."
    )
    datasets: list[str] = Field(description="The datasets that name it.", examples=[["shop.orders"]])


class Secrets(Answer):
    """Every secret, by name."""

    current_key_id: str = Field(description="The master key that seals from now on.", examples=["2026-11"])
    items: list[Secret]


class FailedRotation(Answer):
    """A secret that is still under another master key."""

    name: str
    detail: str


class RotatedSecrets(Answer):
    """What a rotation did. Another one at once does nothing."""

    current_key_id: str = Field(examples=["2026-11"])
    rotated: int = Field(description="How many secrets were put under the current master key by this call.")
    unchanged: int = Field(description="How many were under it already.")
    failed: list[FailedRotation] = Field(description="The secrets that could not be put under it; empty when all are.")
