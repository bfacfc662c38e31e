"""Structures of another provider, page by page: ``optimade:URL?filter``.

OPTIMADE 1.2, https://www.optimade.org. The URL is a provider's base URL, with or without version
or ``/structures``; behind ``?`` stands a filter, or parameters such as ``filter=…&page_limit=…``.

A provider is believed little: redirects and links lead to the same host or nowhere, no page is
larger than `MAX_TEXT_BYTES`, and no link is followed twice.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urljoin, urlsplit

from nanoos.errors import ParseError
from nanoos.parsers.compression import uncompressed
from nanoos.parsers.json_text import dumps, loads
from nanoos.parsers.optimade_json import OWN_LICENCE
from nanoos.parsers.plain import clean, plain
from nanoos.parsers.source import MAX_TEXT_BYTES, Source, Unfound, decoded

if TYPE_CHECKING:
    import httpx

PREFIX = "optimade:"
WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between tries of one request, unless the provider says how long to wait."""

_log = logging.getLogger(__name__)

_PARAMETERS = ("filter", "sort", "page_limit")
_VERSIONED = re.compile(r"/v\d+(\.\d+)*$")
_WANTED = (
    *("lattice_vectors", "cartesian_site_positions", "species", "species_at_sites"),
    *("dimension_types", "nperiodic_dimensions", "structure_features", "assemblies"),
    *("chemical_formula_descriptive", "chemical_formula_reduced", "immutable_id"),
    "last_modified",
)
_WANTED_WHERE_KNOWN = (
    *("fractional_site_positions", "site_coordinate_span", "optimization_type"),
    "space_group_symbol_hermann_mauguin",
)
_CODES = ("gzip", "x-gzip")
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
_MAX_WAIT_S = 120.0
_MAX_REDIRECTS = 5
_MAX_NAME_BYTES = 200  # a filter may be of any length
_MAX_EMPTY_PAGES = 10  # one after another


def pages(argument: str, waits_s: Sequence[float] = WAITS_S) -> Iterator[Source | Unfound]:
    """Yield every page of a provider's answer as a source of OPTIMADE's JSON.

    Each has the provider's licence with it. What goes wrong ends it with an `Unfound`.
    """
    name = clean(argument).encode()[:_MAX_NAME_BYTES].decode(errors="ignore")
    number = 0
    try:
        for number, page in enumerate(_pages(argument, waits_s), 1):
            yield Source.of_stream(BytesIO(dumps(page).encode()), f"{name}#{number}")
    except ParseError as error:
        yield Unfound(f"{name}#{number + 1}" if number else name, error)


def _pages(argument: str, waits_s: Sequence[float]) -> Iterator[dict[str, Any]]:
    import httpx

    base, parameters = _address(argument)
    limits = httpx.Timeout(60.0, connect=10.0)
    with httpx.Client(timeout=limits, headers=_headers()) as client:
        provider = _Provider(client, base, waits_s)
        info = provider.info()
        parameters["response_fields"] = ",".join(provider.fields())
        url: str | None = f"{base.geturl()}/structures?{urlencode(parameters, quote_via=quote)}"
        given = empty = 0
        while url is not None:
            page = provider.document(url)
            if page.get("data"):
                included = page.get("included")
                page["included"] = [*(included if isinstance(included, list) else ()), info]
                yield page
                given, empty = given + 1, 0
            else:
                empty += 1
            if empty > _MAX_EMPTY_PAGES:
                raise ParseError("The provider gives one empty page after another.")
            url = provider.next_page(page, url)
        if not given:
            raise ParseError("The provider has no structure that matches.")


def _headers() -> dict[str, str]:
    try:
        ours = version("nano-os")
    except PackageNotFoundError:
        ours = "0"
    return {
        "User-Agent": f"nano-os/{ours}",
        "Accept": "application/vnd.api+json, application/json",
        "Accept-Encoding": "identity",
    }


def _address(argument: str) -> tuple[SplitResult, dict[str, str]]:
    """Return the versioned base URL and the parameters. Raises ParseError: no web address."""
    address, _, query = argument.removeprefix(PREFIX).partition("?")
    try:
        url = urlsplit(address)
        is_web = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_web = False
    if not is_web:
        raise ParseError(f"{plain(address)} is no http or https address of a provider.")
    if url.username is not None or url.password is not None:
        raise ParseError("The address has a user name or password in it, which would be stored.")
    path = url.path.rstrip("/").removesuffix("/structures")
    path = path if _VERSIONED.search(path) else f"{path}/v1"
    base = url._replace(path=path, query="", fragment="")
    if re.match(rf"({'|'.join(_PARAMETERS)})=", query) is None:
        return base, {"filter": unquote(query)} if query else {}
    parameters = dict(parse_qsl(query))
    if unknown := set(parameters) - set(_PARAMETERS):
        raise ParseError(f"The parameter {min(unknown)} is none of {', '.join(_PARAMETERS)}.")
    return base, parameters


@dataclass
class _Provider:
    """A provider that is being asked; nothing is asked of another host."""

    client: httpx.Client
    base: SplitResult
    waits_s: Sequence[float]
    followed: set[str] = field(default_factory=set)
    delay_s: float = 0.0
    has_answered: bool = False

    def info(self) -> dict[str, Any]:
        """Return the base info, which has the licence."""
        document = self.document(f"{self.base.geturl()}/info")
        data = document.get("data")
        attributes = data.get("attributes") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(attributes, dict):
            raise ParseError(f"There is no OPTIMADE database at {self.base.geturl()}.")
        if attributes.get("is_index"):
            raise ParseError("It is an index of databases, not one with structures.")
        return data | {"type": "info"}

    def fields(self) -> list[str]:
        """Return which of the fields that are read the provider knows."""
        document = self.document(f"{self.base.geturl()}/info/structures")
        data = document.get("data")
        known = data.get("properties") if isinstance(data, dict) else None
        names = known if isinstance(known, dict) else {}
        also = [n for n in names if n in _WANTED_WHERE_KNOWN or OWN_LICENCE.fullmatch(n)]
        return [*_WANTED, *also]

    def next_page(self, page: Mapping[str, Any], url: str) -> str | None:
        """Return the link to the page after this, None at the last. Raises ParseError: a loop."""
        links, meta = page.get("links"), page.get("meta")
        link = links.get("next") if isinstance(links, dict) else None
        link = link.get("href") if isinstance(link, dict) else link
        self.followed.add(url)
        if not link:
            if isinstance(meta, dict) and meta.get("more_data_available") is True:
                raise ParseError("The provider has more, but gives no link to it.")
            return None
        following = self.here(url, str(link))
        if following in self.followed:
            raise ParseError("The provider's links go round in a circle.")
        return following

    def here(self, url: str, link: str) -> str:
        """Return a link of the provider's as an address. Raises ParseError: another host.

        Behind a proxy many state http where they are asked by https; that is set right.
        """
        try:
            found = urlsplit(urljoin(url, link))
            same = found.hostname == self.base.hostname and _port(found) in (None, _port(self.base))
        except ValueError:
            same = False
        if not same or found.scheme not in ("http", "https") or found.username is not None:
            raise ParseError(
                f"The provider leads to {plain(link)[:200]}, which is not where it was asked. If "
                "that is right, ask there."
            )
        return found._replace(
            scheme=self.base.scheme, netloc=self.base.netloc, fragment=""
        ).geturl()

    def document(self, url: str) -> dict[str, Any]:
        """Return the answer to a request, asked again while the provider is busy.

        Each further try is told as a warning of `logging`, which prints it to standard error.
        """
        for wait_s in (*self.waits_s, None):
            time.sleep(self.delay_s)
            cause, stated_s = self._asked(url)
            if isinstance(cause, dict):
                self.has_answered = True
                return cause
            if wait_s is None:
                raise ParseError(f"The provider does not answer: {cause}. Try again later.")
            pause_s = min(wait_s if stated_s is None else stated_s, _MAX_WAIT_S)
            _log.warning("The provider does not answer: %s. Next try in %.0f s.", cause, pause_s)
            time.sleep(pause_s)
        raise AssertionError  # the last wait is None

    def _asked(self, url: str) -> tuple[dict[str, Any] | str, float | None]:
        """Return the answer; or why there is none yet, and how long to wait if that was said.

        Raises ParseError where nobody listens, unless it has answered before.
        """
        import httpx

        try:
            for _ in range(_MAX_REDIRECTS):
                with self.client.stream("GET", url) as response:
                    if response.has_redirect_location:
                        url = self.here(url, response.headers["location"])
                        continue
                    if response.status_code in _TRY_AGAIN:
                        return f"HTTP {response.status_code}", _stated_wait(response)
                    return self._read(response), None
        except httpx.ConnectError as error:
            if self.has_answered:
                return str(error), None
            cause = re.sub(r"^\[Errno [-\d]+\] ", "", str(error))
            raise ParseError(
                f"{plain(self.base.netloc)} cannot be reached: {cause}. Check the address, and "
                "that this machine is online."
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            return str(error) or type(error).__name__, None
        except (httpx.InvalidURL, httpx.StreamError) as error:
            raise ParseError(f"The address cannot be asked: {error}.") from error
        raise ParseError("The provider redirects without end.")

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        content = _content(response)
        try:
            document = loads(decoded(content))
        except ParseError as error:
            if response.is_success:
                raise ParseError(f"The provider's answer cannot be read: {error}") from error
            document = None
        if not response.is_success:
            cause = _detail(document) or "no OPTIMADE database answers there"
            raise ParseError(f"The provider refuses (HTTP {response.status_code}): {cause}.")
        if not isinstance(document, dict):
            raise ParseError("The provider's answer is no response of OPTIMADE.")
        meta = document.get("meta")
        delay_s = meta.get("request_delay") if isinstance(meta, dict) else None
        if isinstance(delay_s, int | float):  # an integer may be too large for a float
            self.delay_s = min(max(0.0, delay_s), _MAX_WAIT_S)
        return document


def _content(response: httpx.Response) -> bytes:
    """Return what a response holds, uncompressed. Raises ParseError: too large, or another code.

    httpx uncompresses without a limit, and providers compress though they are asked not to.
    """
    content = bytearray()
    for part in response.iter_raw():
        _check_size(len(content) + len(part))
        content += part
    code = response.headers.get("content-encoding", "").strip().lower()
    if code in ("", "identity"):
        return bytes(content)
    if code not in _CODES:
        raise ParseError(f"The provider's answer is compressed by {plain(code)[:50]}, not gzip.")
    with uncompressed(BytesIO(content)) as stream:
        whole = stream.read(MAX_TEXT_BYTES + 1)
    _check_size(len(whole))
    return whole


def _check_size(size: int) -> None:
    if size > MAX_TEXT_BYTES:
        limit = MAX_TEXT_BYTES // 1024**2
        raise ParseError(f"A page is larger than {limit} MB. Ask for fewer: page_limit=10.")


def _port(url: SplitResult) -> int | None:
    """Return the port, None for the scheme's own."""
    return None if url.port in (80, 443) else url.port


def _detail(document: Any) -> str:
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    detail = first.get("detail") or first.get("title") if isinstance(first, dict) else None
    return str(plain(detail or ""))[:500].rstrip(".")


def _stated_wait(response: httpx.Response) -> float | None:
    stated = response.headers.get("retry-after", "")
    if stated.isdecimal():
        return float(stated)
    try:
        return max(0.0, parsedate_to_datetime(stated).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
