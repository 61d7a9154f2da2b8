"""Which requests of a browser are from a page of ours."""

import pytest

from services.gateway.core.forgery import foreign

HOST = "headrace.example.org"
OURS = f"https://{HOST}"


@pytest.mark.parametrize(
    ("origin", "site", "host"),
    [
        (OURS, "same-origin", HOST),
        (OURS, None, HOST),
        (None, "same-origin", HOST),
        (None, None, HOST),
        (OURS, None, f"{HOST}:443"),
        ("https://HEADRACE.example.org", None, HOST),
        ("http://127.0.0.1:8080", "same-origin", "127.0.0.1:8080"),
        ("http://[::1]:8080", None, "[::1]:8080"),
    ],
)
def test_a_page_of_ours_is_let_in(origin: str | None, site: str | None, host: str) -> None:
    assert foreign(origin, site, host) is None


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", None),
        ("https://evil.example", "cross-site"),
        (OURS, "cross-site"),
        (OURS, "same-site"),
        ("https://evil.example", "same-origin"),
        (f"https://{HOST}.evil.example", None),
        (f"https://evil.example/{HOST}", None),
        (f"https://{HOST}@evil.example", None),
        (f"https://{HOST}:8443", None),
        (f"ftp://{HOST}", None),
        ("null", None),
        ("", None),
        ("https://[", None),
        (None, "cross-site"),
        (None, "made-up"),
    ],
)
def test_another_page_is_not(origin: str | None, site: str | None) -> None:
    assert foreign(origin, site, HOST)


def test_behind_a_proxy_the_address_of_the_settings_is_ours() -> None:
    assert foreign(OURS, "same-origin", "10.0.0.5:8080")
    assert foreign(OURS, "same-origin", "10.0.0.5:8080", [OURS]) is None
    assert foreign("https://evil.example", None, "10.0.0.5:8080", [OURS])
