"""What a dataset file says of a JSON API."""

from typing import Annotated, Any, Final, Literal, Self

import httpx
from pydantic import AfterValidator, BeforeValidator, StringConstraints, ValidationError, model_validator
from pydantic import Field as Setting

from headrace.contract.fields import ColumnName
from headrace.contract.issue import Issue
from headrace.contract.section import Section
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential
from services.ingest.connectors.rest.paths import parsed

_SECRET_HEADERS: Final = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token")
_SECRET_PARAMS: Final = ("api_key", "apikey", "access_token", "client_secret", "password", "refresh_token")


def _refused(found: str, expected: str) -> ValidationError:
    """An error that does not show the value, which may hold a credential."""
    return ValidationError.from_exception_data("RestSource", [Issue((), found, expected).as_error()])


def _url(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, ValueError):
        raise _refused("what is no URL", "https://host/path") from None
    if url.userinfo or any(name.lower() in _SECRET_PARAMS for name in url.params):
        raise _refused("a URL with a credential in it (not shown)", "the URL alone, and the credential in source.auth")
    if url.scheme not in ("http", "https") or not url.host or url.fragment or not 0 < (url.port or 80) < 1 << 16:
        raise _refused("what is no URL of HTTP", "https://host/path")
    return value


def _without(names: tuple[str, ...]) -> BeforeValidator:
    def checked(value: Any) -> Any:
        held = next((name for name in value if str(name).lower() in names), None) if isinstance(value, dict) else None
        if held is not None:
            raise _refused(f"a credential in {held} (not shown)", "the credential in source.auth, as secret://NAME")
        return value

    return BeforeValidator(checked)


def _path(value: str) -> str:
    try:
        parsed(value)
    except ValueError as error:
        raise _refused(repr(value), str(error)) from None
    return value


Url = Annotated[str, BeforeValidator(_url)]
JsonPath = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_path)]
Param = Annotated[str, StringConstraints(min_length=1)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~\t]*$")]


class NoPagination(Section):
    """One answer has all records."""

    type: Literal["none"] = Setting("none", description="The kind of pagination.")


class PagePagination(Section):
    """Pages are numbered. They are asked for until one is empty."""

    type: Literal["page"] = Setting(description="The kind of pagination.")
    param: Param = Setting("page", description="The query parameter for a page's number.")
    first: int = Setting(1, ge=0, description="The number of the first page.")
    pages: JsonPath | None = Setting(None, description="Where an answer says how many pages there are, if it does.")
    past_end: Literal["empty", "not_found"] = Setting(
        "empty", description="What the server answers past the last page: an empty page, or 404."
    )


class OffsetPagination(Section):
    """Pages begin at a number of records. They are asked for until one is empty."""

    type: Literal["offset"] = Setting(description="The kind of pagination.")
    param: Param = Setting("offset", description="The query parameter for the number of records to pass over.")
    total: JsonPath | None = Setting(None, description="Where an answer says how many records there are, if it does.")


class CursorPagination(Section):
    """An answer holds a token for the next page, until there is none."""

    type: Literal["cursor"] = Setting(description="The kind of pagination.")
    param: Param = Setting("cursor", description="The query parameter for the token.")
    path: JsonPath | None = Setting(None, description="Where in an answer the token is.")
    header: HeaderName | None = Setting(None, description="The header with the token, when it is not in the answer.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.header is None):
            raise ValueError("a path or a header, one of both")
        return self


class LinkPagination(Section):
    """An answer holds the URL of the next page, until there is none."""

    type: Literal["link"] = Setting(description="The kind of pagination.")
    path: JsonPath | None = Setting(
        None, description="Where in an answer the URL is. Without it, the Link header with rel=next is followed."
    )


Pagination = Annotated[
    NoPagination | PagePagination | OffsetPagination | CursorPagination | LinkPagination,
    Setting(discriminator="type"),
]


class Incremental(Section):
    """How later reads ask only for what is new."""

    field: ColumnName = Setting(description="The field of a record that grows, such as `updated_at`.")
    param: Param = Setting(
        description="The query parameter that asks for records from a value on. The value itself has to be among them, "
        "as with `>=`: further records may have it."
    )
    start: str | int | None = Setting(None, description="The value for the first read; without it, all is asked for.")


class NoAuth(Section):
    """The API asks for no credential."""

    type: Literal["none"] = Setting("none", description="The kind of authentication.")


class BasicAuth(Section):
    """A user and a password."""

    type: Literal["basic"] = Setting(description="The kind of authentication.")
    user: str = Setting(min_length=1, description="The user.")
    password: Credential = Setting(description="The password, as `secret://name`.")


class BearerAuth(Section):
    """A token that is good until it is replaced."""

    type: Literal["bearer"] = Setting(description="The kind of authentication.")
    token: Credential = Setting(description="The token, as `secret://name`.")


class ApiKeyAuth(Section):
    """A key in a header or a query parameter."""

    type: Literal["api_key"] = Setting(description="The kind of authentication.")
    key: Credential = Setting(description="The key, as `secret://name`.")
    header: HeaderName | None = Setting(None, description="The header for the key.")
    param: Param | None = Setting(None, description="The query parameter for the key, where a header will not do.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.header is None) == (self.param is None):
            raise ValueError("a header or a param, one of both")
        return self


class OAuth2Client(Section):
    """What the kinds of OAuth2 have in common."""

    token_url: Url = Setting(description="The token endpoint.")
    client_id: str = Setting(min_length=1, description="The id of the client that is registered there.")
    scopes: list[str] = Setting([], description="What access is asked for.")
    client_auth: Literal["basic", "post"] = Setting(
        "basic", description="Where the client secret goes: into HTTP Basic, or into the body."
    )


class ClientCredentialsAuth(OAuth2Client):
    """OAuth2 for a program of its own (client credentials)."""

    type: Literal["oauth2_client_credentials"] = Setting(description="The kind of authentication.")
    client_secret: Credential = Setting(description="The client secret, as `secret://name`.")
    token_params: dict[str, str] = Setting({}, description="What else the token endpoint wants, such as `audience`.")


class RefreshTokenAuth(OAuth2Client):
    """OAuth2 on behalf of a person who agreed (authorization code), with the refresh token they were given."""

    type: Literal["oauth2_refresh_token"] = Setting(description="The kind of authentication.")
    refresh_token: Credential = Setting(
        description="The refresh token, as `secret://name`. When the server gives another, the secret is replaced."
    )
    client_secret: Credential | None = Setting(
        None, description="The client secret, as `secret://name`; a public client has none."
    )


Auth = Annotated[
    NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | ClientCredentialsAuth | RefreshTokenAuth,
    Setting(discriminator="type"),
]


class Timeouts(Section):
    """How long to wait. In seconds."""

    connect_s: float = Setting(10.0, gt=0, le=120, description="For a connection.")
    idle_s: float = Setting(60.0, gt=0, le=600, description="For the next byte of an answer.")
    answer_s: float = Setting(300.0, gt=0, le=3600, description="For a whole answer.")


class RestSource(SourceSettings):
    """Records of a JSON API, read page by page. Later reads are incremental, or there are none."""

    type: Literal["rest"] = Setting(description="The connector.")
    url: Url = Setting(description="What is asked, `https://host/path`.")
    method: Literal["GET", "POST"] = Setting("GET", description="How it is asked.")
    params: Annotated[dict[Param, str | int | float | bool], _without(_SECRET_PARAMS)] = Setting(
        {}, description="Query parameters of every page."
    )
    headers: Annotated[dict[HeaderName, HeaderValue], _without(_SECRET_HEADERS)] = Setting(
        {}, description="Headers of every request. Credentials are in `auth`."
    )
    body: dict[str, Any] | None = Setting(None, description="The JSON body, with `method: POST`.")
    records: JsonPath = Setting(
        "$", description="Where the records are in an answer (JSONPath): a list of objects, or single ones."
    )
    pagination: Pagination = Setting(NoPagination(), description="How an answer leads to the next.")
    incremental: Incremental | None = Setting(
        None, description="How later reads ask for what is new. Without it the source is read once, then it has ended."
    )
    key: list[ColumnName] = Setting([], description="The fields that identify a record.")
    auth: Auth = Setting(NoAuth(), description="How we prove who asks.")
    requests_per_s: float | None = Setting(
        None, ge=0.1, le=1000, description="How many requests a second are sent at most."
    )
    timeouts: Timeouts = Setting(Timeouts(), description="How long to wait for the server.")
    max_answer_bytes: int = Setting(
        50_000_000, ge=1000, le=1_000_000_000, description="How large an answer may be, decompressed."
    )

    def why_no_backfill(self, mode: str) -> str:
        """See `SourceSettings.why_no_backfill`."""
        del mode
        return "" if self.incremental is not None else "it is read once, without `incremental`"

    @model_validator(mode="after")
    def _sendable(self) -> Self:
        if self.body is not None and self.method == "GET":
            raise ValueError("`method: POST` with a body")
        return self
