"""Sources reach what is global or allowed, and nothing else."""

import socket
from ipaddress import ip_network
from typing import Any

import pytest

from headrace.connector import Targets
from headrace.connector.conformance import LOOPBACK
from headrace.errors import Fatal, Transient


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a name server answer with the given addresses."""

    def answer(*addresses: str) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 1)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return answer


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "::1",
        "fc00::1",
        "::ffff:127.0.0.1",
    ],
)
def test_private_addresses_are_refused_and_it_is_said_how_to_allow_them(answers: Any, address: str) -> None:
    answers(address)
    with pytest.raises(Fatal, match="HEADRACE_SOURCE_NETWORKS"):
        Targets().resolve("some.host", 80)


def test_global_addresses_are_reached(answers: Any) -> None:
    answers("93.184.216.34")
    assert str(Targets().resolve("some.host", 80)) == "93.184.216.34"


def test_what_is_allowed_is_reached() -> None:
    assert str(LOOPBACK.resolve("127.0.0.1", 80)) == "127.0.0.1"


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
def test_link_local_addresses_are_refused_even_when_allowed(answers: Any, address: str) -> None:
    answers(address)
    everything = Targets((ip_network("0.0.0.0/0"), ip_network("::/0")))
    with pytest.raises(Fatal, match="never reached"):
        everything.resolve("some.host", 80)


def test_one_forbidden_address_of_a_name_is_enough(answers: Any) -> None:
    answers("93.184.216.34", "10.0.0.1")
    with pytest.raises(Fatal, match="private network"):
        Targets().resolve("some.host", 80)


@pytest.mark.parametrize("written", ["2130706433", "0x7f.1", "127.1"])
def test_other_ways_to_write_an_address_are_seen_through(written: str) -> None:
    with pytest.raises(Fatal, match="private network"):
        Targets().resolve(written, 80)


def test_a_name_that_is_not_found_may_be_found_later() -> None:
    with pytest.raises(Transient, match="is not found"):
        Targets().resolve("no-such-host.invalid", 80)
