"""Calls about who there is, what they are granted, and their tokens."""

from collections.abc import Sequence
from datetime import datetime

from headrace.client.call import Call, delete, get, patch, post
from headrace.client.items import Items
from headrace.client.method import Group, WireT, call
from headrace.client.results.access import CreatedToken, DatasetAccess, Grant, Roles, Token, User
from headrace.client.results.sign_in import OneTimeLink


class Access(Group[WireT]):
    """Users, and what they are granted."""

    @call
    def me(self) -> Call[User]:
        """Whom the token stands for."""
        return get("/me").one(User)

    @call
    def users(self) -> Call[Items[User]]:
        """Everybody who can be granted something, by name."""
        return get("/users").items(User)

    @call
    def add_user(
        self, name: str, *, kind: str = "user", email: str | None = None, groups: Sequence[str] | None = None
    ) -> Call[User]:
        """Add a person (`user`) or a program (`service`), who may do nothing until it is granted."""
        return post("/users").with_body(name=name, kind=kind, email=email, groups=groups).one(User)

    @call
    def change_user(
        self,
        user_id: str,
        *,
        name: str | None = None,
        email: str | None = None,
        groups: Sequence[str] | None = None,
        active: bool | None = None,
    ) -> Call[User]:
        """Change somebody; what is left out stays. Who is not active may do nothing."""
        request = patch("/users/{user_id}", user_id=user_id)
        return request.with_body(name=name, email=email, groups=groups, active=active).one(User)

    @call
    def remove_user(self, user_id: str) -> Call[None]:
        """Remove somebody, with their tokens and what was granted to them."""
        return delete("/users/{user_id}", user_id=user_id).nothing()

    @call
    def roles(self) -> Call[Roles]:
        """What each role may do."""
        return get("/roles").one(Roles)

    @call
    def grants(self, to: str | None = None) -> Call[Items[Grant]]:
        """What was granted within the scopes that you govern; only `to` this user."""
        return get("/grants").asking(to=to).items(Grant)

    @call
    def grant(
        self, to: str, role: str, scope: str, *, rows: str | None = None, clearance: str | None = None
    ) -> Call[Grant]:
        """Grant a role. `to`: `user:NAME` or `group:NAME`; `scope`: `*`, `domain:D`, `dataset:D.N` or `tag:T`.

        `rows`: only rows for which this condition is true; `clearance`: values up to this classification show.
        """
        body = {"to": to, "role": role, "scope": scope, "rows": rows, "clearance": clearance}
        return post("/grants").with_body(**body).one(Grant)

    @call
    def revoke(self, grant_id: str) -> Call[None]:
        """Take a grant back."""
        return delete("/grants/{grant_id}", grant_id=grant_id).nothing()

    @call
    def of_dataset(self, dataset: str) -> Call[Items[DatasetAccess]]:
        """Everybody who may do anything with a dataset, and what they see of it."""
        return get("/datasets/{name}/access", name=dataset).items(DatasetAccess)

    @call
    def setup_link(self) -> Call[OneTimeLink]:
        """A link with which somebody becomes the first administrator; refused (409) when there is one."""
        return post("/setup-link").one(OneTimeLink)

    @call
    def reset_link(self, user: str) -> Call[OneTimeLink]:
        """A link with which a person, by name or id, sets a password."""
        return post("/users/{user_id}/reset-link", user_id=user).one(OneTimeLink)


class Tokens(Group[WireT]):
    """Bearer tokens."""

    @call
    def list(self) -> Call[Items[Token]]:
        """Your own tokens; all of them for an administrator."""
        return get("/tokens").items(Token)

    @call
    def create(
        self,
        name: str,
        *,
        owner: str | None = None,
        actions: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> Call[CreatedToken]:
        """Make a token for `actions` (see, query) within `scopes` (`*`); its secret is told this once."""
        body = {"name": name, "owner": owner, "actions": actions, "scopes": scopes, "expires_at": expires_at}
        return post("/tokens").with_body(**body).one(CreatedToken)

    @call
    def revoke(self, token_id: str) -> Call[None]:
        """Make a token worthless."""
        return delete("/tokens/{token_id}", token_id=token_id).nothing()
