"""What a dataset file says of pushes."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field as Setting
from pydantic import StringConstraints, model_validator

from headrace.contract.section import Section
from headrace.contract.source import SourceSettings
from headrace.secrets.reference import Credential

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]

BODY: Final = "{body}"
TIMESTAMP: Final = "{timestamp}"


class Limits(Section):
    """How much may be pushed to a dataset. Each instance of ingest counts for itself."""

    max_body_bytes: int | None = Setting(
        None,
        ge=1,
        description="The largest body, as it is sent and once it is unpacked; never more than HEADRACE_PUSH_MAX_BODY_BYTES.",
    )
    max_ratio: int = Setting(
        200, ge=1, description="How many times larger a compressed body of more than 1 MiB may be once it is unpacked."
    )
    rows_per_request: int = Setting(200_000, ge=1, description="The most rows of one request.")
    rows_per_second: int | None = Setting(
        None, ge=1, description="How many rows a second are taken over time; any rate when not given."
    )
    bytes_per_second: int | None = Setting(
        None, ge=1, description="How many bytes a second are taken over time, once unpacked; any rate when not given."
    )


class Webhook(Section):
    """How the requests of a service that calls a webhook are signed."""

    signature_header: HeaderName = Setting(description="The header with the signature, such as `X-Hub-Signature-256`.")
    secret: Credential = Setting(description="What the sender signs with, as `secret://name`.")
    algorithm: Literal["sha256", "sha1", "sha512"] = Setting("sha256", description="The hash of the HMAC.")
    encoding: Literal["hex", "base64"] = Setting("hex", description="How the signature is written.")
    prefix: str = Setting(
        "",
        description="What stands before the signature, such as `sha256=`. Of several, separated by commas, one must be right.",
    )
    timestamp_header: HeaderName | None = Setting(
        None, description="The header with the time of sending in Unix seconds; replays are refused by it."
    )
    timestamp_prefix: str = Setting(
        "", description="What stands before the time where its header has other parts too, such as `t=`."
    )
    tolerance_s: int = Setting(300, ge=1, description="How far the time of sending may be from now.")
    signed: str = Setting(BODY, description="What is signed: `{body}` as it was sent, often `{timestamp}.{body}`.")
    key_header: HeaderName | None = Setting(
        None, description="The header that names a delivery, used as idempotency key, such as `X-GitHub-Delivery`."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.signed.count(BODY) != 1:
            raise ValueError(f"{BODY} once in `signed`")
        if (self.timestamp_header is not None) != (TIMESTAMP in self.signed):
            raise ValueError(
                f"`timestamp_header` and {TIMESTAMP} in `signed`, both or neither: only what is signed counts"
            )
        return self


class HttpPushSource(SourceSettings):
    """Rows that are sent to ingest by HTTP POST or over a WebSocket."""

    ends: ClassVar[bool] = False

    type: Literal["http_push"] = Setting(description="The connector.")
    format: Literal["auto", "json", "ndjson", "arrow"] = Setting(
        "auto",
        description="What a request's body holds: a JSON array of objects, one object a line, or an Arrow stream; "
        "`auto` goes by the request's Content-Type.",
    )
    tokens: list[Credential] = Setting(
        [],
        description="The bearer tokens that may push, each as `secret://name`; without any, the platform's push token.",
    )
    platform_token: bool = Setting(
        False, description="Whether the platform's push token may push too where the dataset has `tokens` of its own."
    )
    limits: Limits = Setting(Limits(), description="How much may be pushed.")
    webhook: Webhook | None = Setting(
        None, description="Takes signed requests of other services at `/v1/datasets/NAME/webhook`, without a token."
    )
