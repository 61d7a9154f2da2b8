"""Who there is, what they are granted, and their tokens."""

from datetime import datetime

from pydantic import SecretStr

from headrace.client.results.base import Result


class User(Result):
    """Somebody who can be granted something: a person (`user`) or a program (`service`)."""

    id: str
    kind: str
    name: str
    email: str = ""
    groups: tuple[str, ...] = ()
    active: bool = True


class Role(Result):
    """What a role may do, and up to which classification it sees values unless a grant says otherwise."""

    actions: tuple[str, ...]
    clearance: str


class Roles(Result):
    """The roles, by name."""

    items: dict[str, Role]


class Grant(Result):
    """A role within a scope: of a user, or of a group. `rows`: the condition on the rows they see; empty: all."""

    id: str
    to: str
    name: str
    role: str
    scope: str
    rows: str = ""
    clearance: str


class Sight(Result):
    """What somebody sees of a dataset when they query it.

    `rows`: conditions of which one is true, None: every row; `masked`: columns, and where they are shown nevertheless; `records`:
    whether they see single records as they came, too.
    """

    rows: tuple[str, ...] | None
    masked: dict[str, tuple[str, ...]]
    records: bool


class DatasetAccess(Result):
    """What somebody may do with a dataset, what they see of it, and because of which grants. `sight` is None: no rows."""

    user: User
    actions: tuple[str, ...]
    sight: Sight | None
    because: tuple[Grant, ...]


class Token(Result):
    """A token, without its secret."""

    id: str
    name: str
    owner: str
    actions: tuple[str, ...]
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class CreatedToken(Token):
    """A new token. This is the only time its secret is told."""

    token: SecretStr
