"""Which values have a format, judged beside others that read the same standards: Python's parsers, generators of right ones."""

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.provisional import domains, urls

from headrace.contract import FormatName
from headrace.transform.engine import Engine
from headrace.transform.formats import FORMATS
from headrace.transform.iso_codes import COUNTRIES, CURRENCIES, WITHDRAWN
from tests.unit.transform.staged import run, transform

ENGINE = Engine()

#: What no format may take for a value, and no format may fail on; `NAMES` may be those of hosts.
NAMES = ["ä", "\u0301", "🙂", "null", "NaN"]
ODDITIES = ["", " ", "\n", "\x00", "\u202e", "\u00a0", "\ue000", "%", "'", '"', "\\", "a" * 100_000, "0", "٣ "]

GOOD: dict[FormatName, list[str]] = {
    "email": [
        *(
            "ada@example.com",
            "a.b+tag@mail.example.co.uk",
            "x@a.de",
            "o'neil@example.com",
            "_@example.com",
            "A@EXAMPLE.COM",
        ),
        *(
            "1@2.com",
            "jörg@müller.de",
            "用户@例子.中国",
            "user@xn--mller-kva.de",
            f"{'a' * 64}@example.com",
            "a@b-c.d-e",
        ),
    ],
    "url": [
        *(
            "http://example.com",
            "HTTPS://EXAMPLE.COM/",
            "http://localhost:8080/a",
            "https://user:pw@example.com/?q=1#top",
        ),
        *("http://192.0.2.1/", "http://[2001:db8::1]:80/a", "https://example.com./", "https://müller.de/straße?ä=ö"),
        *("http://a.b/%20%C3%A4", "http://example.com?x", "http://example.com#x", "http://example.com/a:b@c"),
    ],
    "hostname": [
        "localhost",
        "www.example.com",
        "a-b.example",
        "1.2.3.com",
        "xn--mller-kva.de",
        "müller.de",
        f"{'a' * 63}.com",
    ],
    "ip": ["192.0.2.1", "::1"],
    "ipv4": ["0.0.0.0", "255.255.255.255", "10.0.0.9"],
    "ipv6": ["::", "::1", "1::", "2001:DB8::8a2e:370:7334", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::"],
    "uuid": ["c9bf9e57-1685-4c89-bafb-ff5af830be8a", "C9BF9E57-1685-4C89-BAFB-FF5AF830BE8A", str(uuid.UUID(int=0))],
    "phone": ["+442071838750", "+14155552671", "+6834000", "+123456789012345"],
    "country": ["CH", "DE", "GB", "SS", "ZW"],
    "currency": ["EUR", "USD", "XAU", "SLE", "HRK", "BGN"],
    "date": ["2024-02-29", "1999-12-31", "0001-01-01", "9999-12-31"],
    "datetime": ["2026-03-01T09:30:00Z", "2024-02-29T23:59:59.123456789+01:00", "2026-03-01T00:00:00-23:59"],
}
BAD: dict[FormatName, list[str]] = {
    "email": [
        *("ada", "@example.com", "ada@", "ada@example", "ada@@example.com", ".a@example.com", "a.@example.com", "a..b@c.de"),
        *("a b@example.com", '"a b"@example.com', "ada@[192.0.2.1]", "ada@192.0.2.1", "ada@example..com", "ada@-a.com"),
        *("ada@a-.com", "Ada <ada@example.com>", "ada@example.com ", "ada@example.com\n", f"{'a' * 65}@example.com"),
        *(f"a@{'b.' * 130}com", f"{'ä' * 33}@example.com", "a@b_c.com", "a\u200b@example.com"),
    ],
    "url": [
        *("example.com", "ftp://example.com", "http://", "http:///a", "http:/example.com", "http://exa mple.com", "http://a/b c"),
        *("http://999.1.1.1/", "http://1.2.3/", "http://[::1", "http://[1]/", "http://a/%zz", "http://a:b/", "http://a:123456/"),
        *("javascript:alert(1)", "http://a/<b>", "http://-a.com", "http://a.com/\n", " http://a.com", "http://a\\b"),
    ],
    "hostname": ["-a.com", "a-.com", "a..com", ".a", "a.", "a_b.com", "192.0.2.1", "1", f"{'a.' * 130}com"],
    "ip": ["1.2.3", "1.2.3.4.5", "fe80::1%eth0", "::1/64", "[::1]"],
    "ipv4": ["256.1.1.1", "01.2.3.4", "1.2.3", "1.2.3.4 ", "::1", "1,2,3,4", "٣.1.1.1", "0x1.1.1.1"],
    "ipv6": ["1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", ":::", "1::2::3", "12345::", "g::", "fe80::1%1", "1.2.3.4", "::1.2.3.256"],
    "uuid": [
        *("{c9bf9e57-1685-4c89-bafb-ff5af830be8a}", "c9bf9e5716854c89bafbff5af830be8a", "c9bf9e57-1685-4c89-bafb-ff5af830be8"),
        *("g9bf9e57-1685-4c89-bafb-ff5af830be8a", "urn:uuid:c9bf9e57-1685-4c89-bafb-ff5af830be8a"),
    ],
    "phone": ["442071838750", "+0123456789", "+44 20 7183 8750", "00442071838750", "+123456", "+1234567890123456", "+４42071838"],
    "country": ["ch", "CHE", "XX", "UK", "EU", "C", "CHDE", "CH|DE", "CH "],
    "currency": ["eur", "EU", "EURO", "ABC", "DEM", "EURUSD", "€"],
    "date": ["2023-02-29", "2024-13-01", "2024-1-1", "20240101", "0000-01-01", "2024-01-01 ", "2024-01-01T00:00:00Z", "24-01-01"],
    "datetime": [
        *("2026-03-01", "2026-03-01 09:30:00Z", "2026-03-01T09:30:00", "2026-03-01T24:00:00Z", "2026-02-29T00:00:00Z"),
        *("2026-03-01T09:60:00Z", "2026-03-01T09:30Z", "2026-03-01T09:30:00+0100", "2026-03-01T09:30:00.Z"),
    ],
}  # fmt: skip


def having(name: FormatName, values: Sequence[str | None]) -> list[bool | None]:
    """Which of the values have the format, as DuckDB says."""
    condition = FORMATS[name].condition("v")
    found = ENGINE.query(
        f"SELECT {condition} AS fits FROM input", pa.record_batch({"v": pa.array(values, pa.string())})
    )
    return found.column(0).to_pylist()


def agreed(name: FormatName, values: Sequence[str], reference: Callable[[str], bool]) -> None:
    """Both say the same of each value."""
    said = having(name, values)
    assert [(v, s) for v, s in zip(values, said, strict=True) if s != reference(v)] == []


def near(right: Iterable[str], alphabet: str) -> st.SearchStrategy[str]:
    """Right values, and such that have lost, gained or changed a character or two."""
    return st.builds(
        _changed,
        st.sampled_from([*right]),
        st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["", *alphabet]), st.booleans()), max_size=2),
    )


def _changed(text: str, changes: Sequence[tuple[int, str, bool]]) -> str:
    for at, by, replace in changes:
        place = at % (len(text) + 1)
        text = text[:place] + by + text[place + replace :]
    return text


def test_every_format_of_the_dataset_file_is_known() -> None:
    assert tuple(FORMATS) == get_args(FormatName)
    assert set(GOOD) == set(BAD) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_what_has_a_format_and_what_not(name: FormatName) -> None:
    good = GOOD[name]
    bad = [*BAD[name], *ODDITIES, *([] if name == "hostname" else NAMES)]
    assert [value for value, fits in zip(good, having(name, good), strict=True) if not fits] == []
    assert [value for value, fits in zip(bad, having(name, bad), strict=True) if fits] == []
    assert having(name, [None]) == [None]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.uuids().map(str) | near(GOOD["uuid"] + BAD["uuid"], "0af-gG{}"), min_size=1, max_size=50))
def test_a_uuid_is_what_python_writes(values: list[str]) -> None:
    def reference(text: str) -> bool:
        try:
            return str(uuid.UUID(text)) == text.lower()
        except ValueError:
            return False

    agreed("uuid", values, reference)


_V6 = st.lists(st.sampled_from(["", "0", "1", "ffff", "12345", "1.2.3.4", "g"]), max_size=10).map(":".join)
_IPS = st.ip_addresses().map(str) | near(GOOD["ipv6"] + GOOD["ipv4"] + BAD["ip"], "019af:.g") | _V6


@settings(max_examples=60, deadline=None)
@given(st.lists(_IPS.filter(lambda text: "%" not in text), min_size=1, max_size=50))
def test_an_address_is_what_python_reads(values: list[str]) -> None:
    def of(kind: Callable[[str], object]) -> Callable[[str], bool]:
        def reads(text: str) -> bool:
            try:
                return kind(text) is not None
            except ValueError:
                return False

        return reads

    agreed("ipv4", values, of(ipaddress.IPv4Address))
    agreed("ipv6", values, of(ipaddress.IPv6Address))
    agreed("ip", values, of(ipaddress.ip_address))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dates().map(str) | near(GOOD["date"] + BAD["date"], "0123-9"), min_size=1, max_size=50))
def test_a_date_is_what_python_reads(values: list[str]) -> None:
    def reference(text: str) -> bool:
        try:
            return date.fromisoformat(text).isoformat() == text
        except ValueError:
            return False

    agreed("date", values, reference)


@settings(max_examples=40, deadline=None)
@given(st.datetimes(timezones=st.timezones()), st.data())
def test_a_time_with_an_offset_is_one_that_python_wrote(value: datetime, data: st.DataObject) -> None:
    offset = value.utcoffset()
    text = value.isoformat()
    whole = offset is not None and offset.total_seconds() % 60 == 0
    assert having("datetime", [text]) == [whole]  # RFC 3339 has no seconds in an offset
    changed = data.draw(near([text], "0123-:TZ+ ."))
    if having("datetime", [changed]) == [True]:
        assert datetime.fromisoformat(changed).tzinfo is not None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.emails(domains=domains().filter(lambda name: "." in name)), min_size=1, max_size=20))
def test_addresses_made_by_the_standard_are_mail_addresses(values: list[str]) -> None:
    assert having("email", values) == [True] * len(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(near(GOOD["email"] + BAD["email"], '@. a"ä<>,;:\\()[]'), min_size=1, max_size=20))
def test_python_reads_each_mail_address_as_the_whole_of_it(values: list[str]) -> None:
    for value, fits in zip(values, having("email", values), strict=True):
        if fits:
            try:
                read = Address(addr_spec=_in_ascii(value))
            except (ValueError, MessageError) as error:
                raise AssertionError(f"{value!r} is no address: {error}") from error
            assert read.addr_spec == _in_ascii(value)


def _in_ascii(address: str) -> str:
    """The address with an `x` for each letter that older parsers do not know."""
    return re.sub(r"[^\x00-\x7f]", "x", address)


@settings(max_examples=40, deadline=None)
@given(st.lists(urls(), min_size=1, max_size=20))
def test_addresses_made_by_the_standard_are_urls(values: list[str]) -> None:
    assert having("url", values) == [True] * len(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(near(GOOD["url"] + BAD["url"], "/:@?#[].%a ä\\"), min_size=1, max_size=20))
def test_python_finds_a_host_in_each_url(values: list[str]) -> None:
    for value, fits in zip(values, having("url", values), strict=True):
        if fits:
            parts = urlsplit(value)
            assert parts.scheme in ("http", "https")
            assert parts.hostname


@settings(max_examples=40, deadline=None)
@given(st.lists(domains(), min_size=1, max_size=20))
def test_names_made_by_the_standard_are_host_names(values: list[str]) -> None:
    assert having("hostname", values) == [len(name) <= 253 for name in values]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=50))
def test_no_text_makes_a_format_fail(values: list[str]) -> None:
    said = ", ".join(f"{wanted.condition('v')} AS fits_{at}" for at, wanted in enumerate(FORMATS.values()))
    found = ENGINE.query(f"SELECT {said} FROM input", pa.record_batch({"v": pa.array(values, pa.string())}))
    assert [column.null_count for column in found.columns] == [0] * len(FORMATS)


def test_the_lists_of_codes_are_whole() -> None:
    countries, currencies, withdrawn = COUNTRIES.split(), CURRENCIES.split(), WITHDRAWN.split()
    assert len(set(countries)) == len(countries) == 249
    assert len(set(currencies)) == len(currencies) == 178
    assert not set(currencies) & set(withdrawn)
    assert all(len(code) == 3 and code.isalpha() and code.isupper() for code in (*currencies, *withdrawn))


@pytest.mark.skipif(not Path("/usr/share/zoneinfo/iso3166.tab").exists(), reason="no time zone files on this machine")
def test_countries_are_those_that_have_time_zones() -> None:
    lines = Path("/usr/share/zoneinfo/iso3166.tab").read_text(encoding="utf-8").splitlines()
    assert {line.split("\t")[0] for line in lines if line and not line.startswith("#")} == set(COUNTRIES.split())


def test_a_value_that_is_no_text_is_judged_by_its_text() -> None:
    rows = pa.record_batch(
        {
            "id": pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()),
            "day": pa.array([date(2024, 2, 29), None]),
            "number": pa.array([41, None]),
            "texts": pa.array([["CH"], None]),
        }
    )
    formats = {"id": "uuid", "day": "date", "number": "country", "texts": "country"}
    checks = [{"check": "format", "column": c, "format": f, "severity": "flag"} for c, f in formats.items()]
    result = run(transform(checks=checks), rows)
    assert [row["_flags"] for row in result.system] == [["format_number", "format_texts"], []]
