"""HTTP to a source: only to addresses that may be reached, in bounded time and memory, and in the server's words when it refuses.

httpx's own client is not used: it would follow redirects with credentials, take proxies from the environment and log whole
URLs. Its transport is.
"""

import html
import json
import re
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Final
from urllib.parse import quote, quote_plus

import httpcore
import httpx

from headrace.connector.targets import Targets
from headrace.connector.transport import GuardedTransport, Resolved
from headrace.errors import Fatal, HeadraceError, Transient

_PORTS: Final = {"http": 80, "https": 443}
_MOST_REDIRECTS: Final = 5
_MOST_TRIES: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_BUSY: Final = 429
_UNAVAILABLE: Final = 503
_PASSES: Final = (408, 425)
_LONGEST_WORDS: Final = 300
_GZIP: Final = 31  # zlib's word for a gzip header and the largest window


class Throttled(Transient):
    """The server asks to be left alone for longer than is waited here. Units: seconds."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Refused(Fatal):
    """The server answered that it will not. `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time, and waits."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much. Units: seconds, bytes, requests a second.

    `idle_s` is without a byte, `answer_s` for a whole answer; `wait_s` is the longest wait that a server can ask for before
    it is `Throttled`.
    """

    connect_s: float = 10.0
    idle_s: float = 60.0
    answer_s: float = 300.0
    wait_s: float = 10.0
    most_bytes: int = 50_000_000
    requests_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What proves who asks. It goes to the host that was asked first and no other, and is shown nowhere.

    `hidden` are further texts that have to be hidden when a server repeats them, such as a password inside a header.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    hidden: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        for name, value in self.headers.items():
            if not (value.isascii() and value.isprintable()):  # the error of the HTTP library would show it
                raise Fatal(
                    f"the credential for the header {name} (not shown here) has a line break or another character "
                    "that no header can hold; set it again with `headrace secret set`"
                )

    def signed(self, url: httpx.URL) -> httpx.URL:
        """The URL as it is asked for."""
        return url.copy_merge_params(dict(self.params)) if self.params else url

    def unsigned(self, url: httpx.URL) -> httpx.URL:
        """A URL that the server gave, without what it repeats of the signature."""
        for name in self.params:
            url = url.copy_remove_param(name)
        return url

    def hide(self, text: str) -> str:
        """A text of the server without what it repeats of the signature, in whatever way it is written there."""
        values = {*self.hidden, *self.params.values(), *self.headers.values()}
        ways = (str, quote, quote_plus, html.escape, lambda value: json.dumps(value)[1:-1])
        for written in sorted({way(value) for value in values if value for way in ways}, key=len, reverse=True):
            text = text.replace(written, "***")
        return text


UNSIGNED: Final = Signature()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `url` is where it came from, after redirects, without a signature."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    url: httpx.URL = field(repr=False)


class Http:
    """Asks servers for whole answers. Used by one thread at a time."""

    def __init__(self, targets: Targets, limits: Limits, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._targets = targets
        self._limits = limits
        self._transport = GuardedTransport(targets)
        self._next = 0.0

    def connected(self, url: httpx.URL) -> str:
        """Connect once, and say what was reached. Errors: Transient, Fatal."""
        try:
            stream = Resolved(self._targets).connect_tcp(url.host, port_of(url), self._limits.connect_s)
            with closing(stream):
                if url.scheme != "https":
                    return f"connected to {url.host}:{port_of(url)}, without TLS"
                secured = stream.start_tls(httpx.create_ssl_context(), url.host, self._limits.connect_s)
                with closing(secured):
                    version = secured.get_extra_info("ssl_object").version()
                    return f"connected to {url.host}:{port_of(url)}, {version}; the certificate is that of the host"
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise _failure(error, url) from error

    def ask(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        signature: Signature = UNSIGNED,
    ) -> Answer:
        """The answer of a server that grants what was asked. Errors: Transient, Throttled, Fatal, Refused."""
        return granted(self.exchange(method, url, headers=headers, content=content, signature=signature), signature)

    def exchange(
        self,
        method: str,
        url: httpx.URL,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        signature: Signature = UNSIGNED,
        redirects: int = _MOST_REDIRECTS,
    ) -> Answer:
        """The answer, whatever its status, after the waits that the server asks for. Errors: Transient, Throttled, Fatal."""
        for tried in count():
            answer = self._followed(method, url, headers or {}, content, signature, redirects)
            wait_s = self._asked_to_wait(answer, tried)
            if wait_s is None:
                return answer
            if tried + 1 == _MOST_TRIES or wait_s > self._limits.wait_s:
                said = words(answer, signature)
                raise Throttled(
                    f"{shown(url)} answered {answer.status} and asks to wait {wait_s:.0f} s: {said}", wait_s
                )
            self.clock.sleep(wait_s)
        raise AssertionError("tries have no end of their own")

    def _asked_to_wait(self, answer: Answer, tried: int) -> float | None:
        if answer.status not in (_BUSY, _UNAVAILABLE):
            return None
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        asked = retry_after_s(answer.headers.get("retry-after", ""), now)
        if asked is None and answer.status == _BUSY:
            return float(2**tried)
        return asked

    def _followed(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None,
        signature: Signature,
        redirects: int,
    ) -> Answer:
        """The answer at the end of redirects. To another host go neither the signature nor headers and body."""
        first = url
        for _ in range(redirects + 1):
            ours = origin(url) == origin(first)
            answer = self._once(method, url, headers if ours else {}, content, signature if ours else UNSIGNED)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None or not redirects:
                return answer
            target = signature.unsigned(_joined(url, location))
            if target.scheme not in _PORTS or (url.scheme, target.scheme) == ("https", "http"):
                raise Fatal(f"{shown(url)} redirects to {shown(target)}, which is not followed: it is no https")
            if origin(target) != origin(first) and content is not None:
                raise Fatal(f"{shown(url)} redirects to {shown(target)}, another host, to which no body is sent")
            if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
                method, content = "GET", None
            url = target
        raise Fatal(f"{shown(first)} redirects more than {redirects} times, last to {shown(url)}; correct the URL")

    def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, signature: Signature
    ) -> Answer:
        self._pace()
        limits = self._limits
        request = httpx.Request(
            method,
            signature.signed(url),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": "headrace",
                **headers,
                **signature.headers,
            },
            content=content,
            extensions={"timeout": httpx.Timeout(limits.idle_s, connect=limits.connect_s).as_dict()},
        )
        try:
            with closing(self._transport.handle_request(request)) as response:
                return Answer(response.status_code, response.headers, self._body(response, url), url)
        except httpx.LocalProtocolError:  # its text has what was to be sent
            raise Fatal(f"{shown(url)} cannot be asked: a header or the URL holds what HTTP does not allow") from None
        except httpx.TransportError as error:
            raise _failure(error, url) from error

    def _pace(self) -> None:
        """Wait for the turn of the next request."""
        if self._limits.requests_per_s is None:
            return
        now = self.clock.monotonic()
        if self._next > now:
            self.clock.sleep(self._next - now)
        self._next = max(self._next, now) + 1 / self._limits.requests_per_s

    def _body(self, response: httpx.Response, url: httpx.URL) -> bytes:
        """The decompressed body. Errors: Fatal when it is larger than allowed; Transient when it is cut off or takes too long."""
        most, until = self._limits.most_bytes, self.clock.monotonic() + self._limits.answer_s
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise Fatal(f"{shown(url)} answers with the content coding {coding!r}, which was not asked for")
        unpack = _Gunzip() if "gzip" in coding else None
        body = bytearray()
        for chunk in response.iter_raw():
            try:
                body += chunk if unpack is None else unpack.part(chunk, most + 1 - len(body))
            except zlib.error as error:
                raise Transient(f"{shown(url)}: the gzip of the answer is damaged: {error}") from error
            if len(body) > most:
                raise Fatal(
                    f"{shown(url)}: the answer has more than {most} bytes; ask for smaller pages, or raise "
                    "source.max_answer_bytes"
                )
            if self.clock.monotonic() > until:
                raise Transient(f"{shown(url)}: the answer was not whole after {self._limits.answer_s:g} s")
        if unpack is not None and body and not unpack.ended:
            raise Transient(f"{shown(url)}: the gzip of the answer is cut off")
        return bytes(body)


class _Gunzip:
    """Unpacks gzip, which may have several members, and never more than was asked for."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)

    @property
    def ended(self) -> bool:
        """Whether a member has just ended."""
        return self._member.eof

    def part(self, chunk: bytes, most: int) -> bytes:
        """What a chunk unpacks to, as far as `most` bytes. Errors: zlib.error."""
        found = b""
        while chunk and len(found) < most:
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            found += self._member.decompress(chunk, most - len(found))
            chunk = self._member.unused_data
        return found


def granted(answer: Answer, signature: Signature = UNSIGNED) -> Answer:
    """The answer when its status is one of success. Errors: Transient when asking again may help, else Refused."""
    if 200 <= answer.status < 300:
        return answer
    message = f"{shown(answer.url)} answered {answer.status}: {words(answer, signature)}"
    if answer.status >= 500 or answer.status in _PASSES:
        raise Transient(message)
    raise Refused(message, answer.status)


def words(answer: Answer, signature: Signature = UNSIGNED) -> str:
    """The start of what a server says, on one line, without credentials and markup."""
    text = signature.hide(answer.body[: 64 << 10].decode(errors="replace"))
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"{text[:_LONGEST_WORDS]}..." if len(text) > _LONGEST_WORDS else text or "(no words)"


def retry_after_s(value: str, now: datetime) -> float | None:
    """How long a `Retry-After` asks to wait: seconds, or a date of HTTP; None when it is neither."""
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port."""
    return url.scheme, url.host, port_of(url)


def port_of(url: httpx.URL) -> int:
    """The port that is connected to. Errors: Fatal when there is no such port."""
    port = _PORTS[url.scheme] if url.port is None else url.port
    if not 0 < port < 1 << 16:
        raise Fatal(f"{shown(url)}: there is no port {port}; correct the URL")
    return port


def shown(url: httpx.URL) -> str:
    """A URL as messages have it: without a query, which may hold a credential."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _joined(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return url.join(location).copy_with(userinfo=b"", fragment=None)
    except httpx.InvalidURL as error:
        raise Fatal(f"{shown(url)} redirects to what is no URL: {error}") from error


def _failure(error: Exception, url: httpx.URL) -> HeadraceError:
    """The project's error for one of the network."""
    said = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Fatal(
            f"{shown(url)}: the server's certificate is not one for {url.host} that is trusted here: {said}; correct the URL, "
            "or name the authority's certificate in SSL_CERT_FILE"
        )
    if isinstance(error, httpx.UnsupportedProtocol):
        return Fatal(f"{shown(url)}: {said}")
    return Transient(f"{shown(url)} cannot be reached: {said}")
