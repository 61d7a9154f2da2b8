"""Who may push: tokens of a dataset, and webhooks that are signed."""

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.contract import ContractError, load
from services.ingest.connectors.http_push.settings import Webhook
from services.ingest.connectors.http_push.signature import Unsigned, verify
from tests.unit.ingest.pushing import TOKEN, Broker, Clock, Service, dataset, problem, served

ROW = '{"id": 1}'


def test_the_tokens_of_a_dataset_push_and_the_platform_s_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(tokens=["secret://one", "secret://two"])
    with served(live, monkeypatch, secrets={"one": "first-token", "two": "second-token"}) as service:
        assert service.post(ROW, token="first-token").status_code == 202
        assert service.post(ROW, token="second-token").status_code == 202
        assert problem(service.post(ROW, token=TOKEN), 401)
        assert problem(service.post(ROW, token="first-toke"), 401)
        assert problem(service.post(ROW, token=""), 401)
        assert problem(service.post(ROW, token=None), 401)
        assert len(service.broker.rows) == 2


def test_the_control_without_tokens_of_its_own_the_platform_s_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch) as service:
        assert service.post(ROW).status_code == 202
        assert problem(service.post(ROW, token="first-token"), 401)


def test_the_platform_s_token_may_be_taken_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(tokens=["secret://one"], platform_token=True)
    with served(live, monkeypatch, secrets={"one": "first-token"}) as service:
        assert [service.post(ROW, token=token).status_code for token in (TOKEN, "first-token")] == [202, 202]
        assert problem(service.post(ROW, token="another"), 401)


def test_nobody_is_let_in_by_a_secret_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(tokens=["secret://one", "secret://gone"])
    with served(live, monkeypatch, secrets={"one": "first-token"}, token=None) as service:
        assert "secret://gone" in problem(service.post(ROW, token="whatever"), 503)["detail"]
        assert problem(service.post(ROW, token=""), 401)
        assert service.post(ROW, token="first-token").status_code == 202, "the one that is known still counts"
        assert len(service.broker.rows) == 1


def test_a_token_that_was_replaced_is_refused_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"one": "old-token"}
    with served(dataset(tokens=["secret://one"]), monkeypatch, secrets=known) as service:
        assert service.post(ROW, token="old-token").status_code == 202
        known["one"] = "new-token"
        service.clock.now += 1.0
        assert problem(service.post(ROW, token="old-token"), 401)
        assert service.post(ROW, token="new-token").status_code == 202
        del known["one"]
        service.clock.now += 1.0
        assert problem(service.post(ROW, token="new-token"), 503)


def test_who_may_not_push_is_not_told_which_datasets_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ingest.connectors.http_push.intake._APPEARS_S", 0.0)
    with served(dataset(), monkeypatch) as service:
        answers = [
            service.client.post(
                f"/v1/datasets/shop.{name}/rows", headers={"Authorization": f"Bearer {token}"}, content=ROW
            )
            for name, token in [("events", "guess"), ("nothing", "guess"), ("nothing", TOKEN)]
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 404]


# What each service's documentation says of its signatures. Bodies and headers are computed here, without our code.

SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
NOW = 1_492_774_577.0


def hex_of(algorithm: str, signed: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), signed, algorithm).hexdigest()


GITHUB = {"signature_header": "X-Hub-Signature-256", "prefix": "sha256=", "key_header": "X-GitHub-Delivery"}
STRIPE = {
    "signature_header": "Stripe-Signature",
    "prefix": "v1=",
    "timestamp_header": "Stripe-Signature",
    "timestamp_prefix": "t=",
    "signed": "{timestamp}.{body}",
}
SHOPIFY = {"signature_header": "X-Shopify-Hmac-Sha256", "encoding": "base64"}
SLACK = {
    "signature_header": "X-Slack-Signature",
    "prefix": "v0=",
    "timestamp_header": "X-Slack-Request-Timestamp",
    "signed": "v0:{timestamp}:{body}",
}


def webhook(settings: dict[str, Any]) -> Webhook:
    return Webhook.model_validate({"secret": "secret://hook", **settings})


def checked(settings: dict[str, Any], headers: dict[str, str], body: bytes = BODY, secret: str = SECRET) -> None:
    verify(webhook(settings), headers, body, secret.encode(), NOW)


def test_the_example_of_github_s_documentation() -> None:
    """Source: docs.github.com, Validating webhook deliveries, Testing the webhook payload validation."""
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    checked(GITHUB, {"X-Hub-Signature-256": signature})
    with pytest.raises(Unsigned, match="is not that of the body"):
        checked(GITHUB, {"X-Hub-Signature-256": signature}, b"Hello, World?")


def test_the_example_of_slack_s_documentation() -> None:
    """Source: api.slack.com, Verifying requests from Slack."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "X-Slack-Request-Timestamp": "1531420618",
        "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    secret = b"8f742231b10e8888abcd99yyyzzz85a5"
    verify(webhook(SLACK), headers, body, secret, 1_531_420_618.0 + 300)
    with pytest.raises(Unsigned, match="300 s from now"):
        verify(webhook(SLACK), headers, body, secret, 1_531_420_618.0 + 301)
    with pytest.raises(Unsigned, match="300 s from now"):
        verify(webhook(SLACK), headers, body, secret, 1_531_420_618.0 - 301)


def test_stripe_s_shape_with_a_secret_that_is_being_changed() -> None:
    """Source: docs.stripe.com, Webhook signatures: signed is `t`, a dot and the body; any `v1` may be right, `v0` never."""
    right, other = hex_of("sha256", b"1492774577." + BODY), hex_of("sha256", b"1492774577." + BODY, "another")
    checked(STRIPE, {"Stripe-Signature": f"t=1492774577,v1={other},v1={right},v0={other}"})
    for forged in (f"t=1492774577,v1={other},v0={right}", f"t=1492774578,v1={right}", f"v1={right}", "t=1492774577"):
        with pytest.raises(Unsigned):
            checked(STRIPE, {"Stripe-Signature": forged})


def test_shopify_s_shape() -> None:
    """Source: shopify.dev, Verify webhooks: HMAC-SHA256 of the body in base64."""
    right = base64.b64encode(hmac.new(SECRET.encode(), BODY, hashlib.sha256).digest()).decode()
    checked(SHOPIFY, {"X-Shopify-Hmac-Sha256": right})
    for forged in ("", right[:-4], "x" + right[1:], hex_of("sha256", BODY)):
        with pytest.raises(Unsigned):
            checked(SHOPIFY, {"X-Shopify-Hmac-Sha256": forged})


@pytest.mark.parametrize("algorithm", ["sha1", "sha512"])
def test_other_hashes(algorithm: str) -> None:
    settings = {"signature_header": "X-Sig", "algorithm": algorithm}
    checked(settings, {"X-Sig": hex_of(algorithm, BODY)})
    with pytest.raises(Unsigned):
        checked(settings, {"X-Sig": hex_of("sha256", BODY)})


def test_a_header_that_is_not_there_or_not_hex_is_no_signature() -> None:
    for headers in ({}, {"X-Hub-Signature-256": "sha256="}, {"X-Hub-Signature-256": "sha256=zz"}):
        with pytest.raises(Unsigned):
            checked(GITHUB, headers)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("signed: '{timestamp}'", "once"),
        ("signed: '{timestamp}.{body}'", "both or neither"),
        ("timestamp_header: X-Time", "both or neither"),
    ],
)
def test_a_time_that_is_not_signed_is_refused_in_the_dataset_file(line: str, expected: str) -> None:
    text = f"""
dataset: shop.events
description: Events.
owner: {{team: shop}}
source:
  type: http_push
  webhook:
    signature_header: X-Sig
    secret: secret://hook
    {line}
"""
    with pytest.raises(ContractError, match=expected):
        load(text)


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A dataset that takes GitHub's webhooks."""
    live = dataset(webhook={"secret": "secret://hook", **GITHUB})
    with served(live, monkeypatch, secrets={"hook": SECRET}) as service:
        yield service


def call(service: Service, body: bytes, signature: str, **headers: str) -> Any:
    return service.post(body, "application/json", to="webhook", token=None, X_Hub_Signature_256=signature, **headers)


def test_a_signed_request_is_written_without_a_token(hooked: Service) -> None:
    body = json.dumps({"id": 1, "action": "opened"}, indent=2).encode()
    assert call(hooked, body, "sha256=" + hex_of("sha256", body)).status_code == 202
    assert hooked.broker.rows == [{"id": 1, "action": "opened"}]
    for signature in ("", "sha256=" + hex_of("sha256", body + b" "), "sha256=" + hex_of("sha256", body, "guess")):
        assert problem(call(hooked, body, signature), 401)
    assert problem(hooked.post(body, "application/json", token=None), 401), "rows still want a token"
    assert len(hooked.broker.rows) == 1


def test_what_is_signed_is_the_body_as_it_was_sent(hooked: Service) -> None:
    plain = b'{"id": 1}'
    packed = gzip.compress(plain)
    unpacked_signature = call(hooked, packed, "sha256=" + hex_of("sha256", plain), Content_Encoding="gzip")
    assert problem(unpacked_signature, 401)
    assert call(hooked, packed, "sha256=" + hex_of("sha256", packed), Content_Encoding="gzip").status_code == 202


def test_a_delivery_that_is_sent_again_is_written_once(hooked: Service) -> None:
    body = b'{"id": 1}'
    signature = "sha256=" + hex_of("sha256", body)
    answers = [call(hooked, body, signature, X_GitHub_Delivery="d-1").json()["repeated"] for _ in range(2)]
    assert answers == [False, True]
    assert len(hooked.broker.rows) == 1
    call(hooked, body, signature)  # the control: without the header it is written again
    assert len(hooked.broker.rows) == 2


def test_a_replay_outside_the_tolerance_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(webhook={"secret": "secret://hook", "tolerance_s": 60, **STRIPE})
    clock = Clock(NOW)
    with served(live, monkeypatch, secrets={"hook": SECRET}, clock=clock) as service:
        body = b'{"id": 1}'
        header = f"t={int(NOW)},v1={hex_of('sha256', f'{int(NOW)}.'.encode() + body)}"

        def send() -> Any:
            return service.post(body, "application/json", to="webhook", token=None, Stripe_Signature=header)

        assert send().status_code == 202
        clock.now += 60
        assert send().status_code == 202, "the control: it is the time that refuses the next one"
        clock.now += 1
        assert "60 s" in problem(send(), 401)["detail"]
        assert len(service.broker.rows) == 2


def test_a_webhook_whose_secret_is_not_set_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    live = dataset(webhook={"secret": "secret://hook", **GITHUB})
    with served(live, monkeypatch) as service:
        assert problem(call(service, b"{}", "sha256=" + hex_of("sha256", b"{}", "")), 503)
        assert service.broker.rows == []


def test_a_dataset_without_a_webhook_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(dataset(), monkeypatch, broker=Broker()) as service:
        assert problem(call(service, b"{}", "sha256=00"), 404)
