"""The one resolver of the database URL, and its translation for each driver.

Sources, first found wins: the environment's ``DATABASE_URL``, the ``.env`` beside
``alembic.ini``, ``sqlalchemy.url`` in ``alembic.ini``, the caller's fallback.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import psycopg2
from dotenv import dotenv_values
from psycopg2.extensions import make_dsn
from sqlalchemy import URL

from pgsteady.errors import UrlError

_SCHEMES = {
    f"{name}{driver}"
    for name in ("postgres", "postgresql")
    for driver in ("", "+asyncpg", "+psycopg2", "+psycopg")
}
_FORM = "postgresql://user:password@host:port/database"
_TAIL = re.compile(
    r"(?P<host>\[[^\]]*\]|[^\[\]:/?#@]*)(?::(?P<port>\d*))?"
    r"(?:/(?P<database>[^?#@/]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)

_ASYNCPG_ONLY = {"prepared_statement_cache_size"}
"""Options of SQLAlchemy's asyncpg dialect that no other driver knows."""

_ASYNCPG_DSN = {
    "application_name", "gsslib", "krbsrvname", "options", "passfile", "service",
    "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcrl", "sslkey",
    "sslmode", "sslnegotiation", "sslpassword", "sslrootcert", "target_session_attrs",
}  # fmt: skip
"""libpq options that asyncpg reads, though only from a DSN; it refuses or ignores the rest."""

_LIBPQ_ENVIRONMENT = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "host": "PGHOST",
    "options": "PGOPTIONS",
    "passfile": "PGPASSFILE",
    "service": "PGSERVICE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}  # https://www.postgresql.org/docs/current/libpq-envars.html


@dataclass(frozen=True)
class DatabaseUrl:
    """A PostgreSQL database, and which source named it.

    ``url`` has no driver; its query holds libpq's option names, and a socket's
    folder as ``host``. ``repr`` hides the password.
    """

    url: URL
    source: str

    def asyncpg(self, application_name: str | None = None) -> URL:
        """Return the SQLAlchemy URL for asyncpg.

        asyncpg takes ``sslmode`` or ``application_name`` from a DSN only, so they travel
        in a DSN of their own, which holds no secret.
        """
        options = self._options(application_name)
        for_asyncpg = {k: v for k, v in options.items() if k in _ASYNCPG_ONLY | {"host"}}
        dsn = {k: v for k, v in options.items() if k in _ASYNCPG_DSN}
        if dsn:
            for_asyncpg["dsn"] = f"postgresql://?{urlencode(dsn)}"
        return self.url.set(drivername="postgresql+asyncpg", query=for_asyncpg)

    def psycopg2(self, application_name: str | None = None) -> URL:
        """Return the SQLAlchemy URL for psycopg2."""
        return self.url.set(
            drivername="postgresql+psycopg2", query=self._libpq_options(application_name)
        )

    def libpq(self, application_name: str | None = None) -> str:
        """Return the URI that psql, pg_dump and other libpq clients read; it holds the password."""
        url, options = self.url, self._libpq_options(application_name)
        user = quote(url.username or "", safe="")
        secret = f":{quote(url.password, safe='')}" if url.password else ""
        host = f"[{url.host}]" if ":" in (url.host or "") else (url.host or "")
        port = f":{url.port}" if url.port else ""
        if "host" in options and url.port:
            port, options = "", options | {"port": str(url.port)}
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        at = f"{user}{secret}@" if user else ""
        return f"postgresql://{at}{host}{port}/{quote(url.database or '', safe='')}{query}"

    def libpq_env(self, application_name: str | None = None) -> dict[str, str]:
        """Return the environment variables by which a libpq client finds this database."""
        url = self.url
        variables = {
            "PGHOST": url.host,
            "PGPORT": str(url.port) if url.port else None,
            "PGUSER": url.username,
            "PGPASSWORD": str(url.password) if url.password else None,
            "PGDATABASE": url.database,
        }
        for option, value in self._libpq_options(application_name).items():
            if option in _LIBPQ_ENVIRONMENT:
                variables[_LIBPQ_ENVIRONMENT[option]] = value
        return {name: value for name, value in variables.items() if value}

    @property
    def address(self) -> str:
        """Where the server is, for messages: ``host:port`` or a socket's folder."""
        socket = self._options(None).get("host")
        return f"socket {socket}" if socket else f"{self.url.host or 'localhost'}:{self.port}"

    @property
    def port(self) -> int:
        """The server's port; PostgreSQL's own 5432 when the URL names none."""
        return self.url.port or 5432

    def _options(self, application_name: str | None) -> dict[str, str]:
        defaults = {"application_name": application_name} if application_name else {}
        return defaults | {name: str(value) for name, value in self.url.query.items()}

    def _libpq_options(self, application_name: str | None) -> dict[str, str]:
        options = self._options(application_name)
        return {k: v for k, v in options.items() if k not in _ASYNCPG_ONLY}


def parse(text: str, source: str) -> DatabaseUrl:
    """Read a URL as people write them; the password may stand unencoded where that is clear.

    Percent escapes are decoded when every ``%`` begins one, else taken literally.

    Raises:
        UrlError: it is no PostgreSQL URL, or it can be read in no single way.
    """
    scheme, found, rest = text.strip().partition("://")
    if not found:
        raise UrlError(f"{source}: this is not a URL.", hint=f"Write {_FORM}")
    if scheme.lower() not in _SCHEMES:
        raise UrlError(f"{source}: PostgreSQL is needed, not {scheme}.", hint=f"Write {_FORM}")
    userinfo, tail = _split(rest, source)
    user, _, password = userinfo.partition(":")
    query = _query(tail["query"])
    host = _decode(tail["host"].strip("[]")) or query.pop("hostaddr", "")
    if host.startswith("/"):  # libpq's form of a socket's folder: %2Frun%2Fpostgresql
        query.setdefault("host", host)
    elif host:
        query.pop("host", None)
    elif not query.get("host", "/").startswith("/"):
        host = query.pop("host")
    if mode := query.pop("ssl", None):
        query.setdefault("sslmode", {"true": "require", "false": "disable"}.get(mode.lower(), mode))
    port = tail["port"] or query.pop("port", "")
    if port and not port.isdecimal():
        raise UrlError(f"{source}: the port is not a number.", hint=f"Write {_FORM}")
    url = URL.create(
        "postgresql",
        username=_decode(user) or query.pop("user", None),
        password=_decode(password) or query.pop("password", None),
        host=None if host.startswith("/") else host or None,
        port=int(port) if port else None,
        database=_decode(tail["database"] or "") or query.pop("dbname", None),
        query=query,
    )
    return DatabaseUrl(url, source)


EMBEDDED = "the embedded database"
"""The source of a URL that nobody named."""


def resolve(ini: Path, fallback: Callable[[], str] | None = None) -> DatabaseUrl:
    """Find the database URL for the project whose ``alembic.ini`` is ``ini``.

    ``fallback`` starts the project's embedded database and returns its URL; it is
    called only when nothing else names one.

    Raises:
        UrlError: no source names a database, or what one names cannot be read.
    """
    for source, value in (
        *_variable("DATABASE_URL", ini),
        (str(ini), _from_ini(ini)),
    ):
        if value:
            return parse(value, source)
    if fallback is None:
        raise UrlError("No database is named.", hint=f"Set DATABASE_URL={_FORM}")
    return parse(fallback(), EMBEDDED)


def resolve_direct(ini: Path) -> DatabaseUrl | None:
    """Return ``DATABASE_URL_DIRECT``, the server's own address behind a connection pooler."""
    for source, value in _variable("DATABASE_URL_DIRECT", ini):
        if value:
            return parse(value, source)
    return None


def _variable(name: str, ini: Path) -> list[tuple[str, str | None]]:
    dotenv = ini.with_name(".env")
    in_file = dotenv_values(dotenv, interpolate=False).get(name) if dotenv.is_file() else None
    return [
        (f"environment {name}", _unquote(os.environ.get(name))),
        (str(dotenv), _unquote(in_file)),
    ]


def _unquote(value: str | None) -> str:
    """Strip the quotes that tools which know no shell (``docker --env-file``) leave on a value."""
    value = (value or "").strip()
    return value[1:-1] if value[:1] in {'"', "'"} and value[-1] == value[0] else value


def _from_ini(ini: Path) -> str:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ini, encoding="utf-8")
    value = parser.get("alembic", "sqlalchemy.url", fallback="")
    doubled = re.fullmatch(r"(?:[^%]|%%)*", value)  # escaped as ConfigParser asks for
    return _unquote(value.replace("%%", "%") if doubled else value)


def _split(rest: str, source: str) -> tuple[str, re.Match[str]]:
    """Split what follows ``://`` into user info and the rest.

    First as RFC 3986 does (the authority ends at the first ``/``, ``?`` or ``#``); if that
    gives no database URL, the password was typed unencoded and ends at the last ``@``.
    """
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    ends = (authority.rfind("@"), rest.rfind("@"))
    for end in ends:
        tail = _TAIL.fullmatch(rest[end + 1 :])
        if tail and all(_is_option(part) for part in (tail["query"] or "").split("&") if part):
            return rest[: max(end, 0)], tail
    raise UrlError(
        f"{source}: the URL cannot be read: a password or an option in it is not as it should be.",
        hint=f"Write {_FORM}, with these characters of the password encoded: "
        "% as %25, @ as %40, / as %2F, : as %3A, ? as %3F, # as %23.",
    )


def _is_option(part: str) -> bool:
    """Tell whether ``part`` of a query is an option that libpq or asyncpg's dialect knows."""
    name, equals, _ = part.partition("=")
    if not equals or name in _ASYNCPG_ONLY | {"ssl"}:
        return bool(equals)
    try:
        make_dsn("", **{name: "1"})
    except psycopg2.ProgrammingError:
        return False
    return True


def _query(text: str | None) -> dict[str, str]:
    pairs = (part.partition("=") for part in (text or "").split("&") if part)
    return {name: _decode(value) for name, _, value in pairs}


def _decode(text: str) -> str:
    escaped = not re.search(r"%(?![0-9A-Fa-f]{2})", text)
    return unquote(text) if escaped else text
