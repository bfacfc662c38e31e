"""One resolver: every source and spelling, and URLs that each driver connects with."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from pgsteady.errors import UrlError
from pgsteady.server import bundled
from pgsteady.url import parse, resolve, resolve_direct

ODD = "p%@/:?w#"
ENCODED = "p%25%40%2F%3A%3Fw%23"
URL = f"postgresql+asyncpg://orion:{ENCODED}@db.example:6432/orion_db"


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    file = tmp_path / "alembic.ini"
    file.write_text("[alembic]\nsqlalchemy.url =\n")
    return file


SCHEMES = "postgres postgresql postgresql+asyncpg postgresql+psycopg2 postgresql+psycopg POSTGRESQL"


@pytest.mark.parametrize("scheme", SCHEMES.split())
@pytest.mark.parametrize("password", [ODD, ENCODED])
def test_every_scheme_and_a_password_typed_either_way(scheme: str, password: str) -> None:
    url = parse(f"{scheme}://orion:{password}@db.example:6432/orion_db", "here").url
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "orion", ODD, "db.example", 6432, "orion_db",
    )  # fmt: skip


@given(st.text(alphabet="ab1%@/:?#&=+ é[]\\'\"", min_size=1).filter(lambda p: p == p.strip()))
def test_any_password_survives_encoded_and_through_libpq(password: str) -> None:
    url = parse(f"postgresql://orion:{quote(password, safe='')}@h/d", "here")
    assert url.url.password == password
    assert parse(url.libpq(), "here").url == url.url


@given(st.text(alphabet="ab%@/:?#&=+ é[]\\'\"", min_size=1).filter(lambda p: p == p.strip()))
def test_a_password_typed_unencoded_is_read_as_typed_or_refused(password: str) -> None:
    typed = f"postgresql://orion:{password}@localhost:5432/orion_db"
    if "%a" in password or "%b" in password:
        return  # could be an escape, and is read as one
    url = parse(typed, "here").url
    assert (url.password, url.host, url.database) == (password, "localhost", "orion_db")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "secretword",
        "mysql://orion:secretword@h/d",
        "postgresql://orion:secretword@h:port/d",
        "postgresql://orion:secretword@h/d?sslmoode=require",
        "postgresql://orion:secretword@h/d?port=x",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_showing_the_password(bad: str) -> None:
    with pytest.raises(UrlError, match=r"(?s)here: .*postgresql://user:password@host") as caught:
        parse(bad, "here")
    assert "secretword" not in str(caught.value)


def test_repr_hides_the_password() -> None:
    assert ODD not in repr(parse(URL, "here"))
    assert ENCODED not in repr(parse(URL, "here"))


def test_options_are_translated_for_each_driver() -> None:
    options = "ssl=true&connect_timeout=3&prepared_statement_cache_size=0"
    url = parse(f"postgres://o:p@h/d?{options}", "x")
    assert dict(url.psycopg2("me").query) == {
        "application_name": "me", "sslmode": "require", "connect_timeout": "3",
    }  # fmt: skip
    assert dict(url.asyncpg("me").query) == {
        "dsn": "postgresql://?application_name=me&sslmode=require",
        "prepared_statement_cache_size": "0",
    }
    assert url.libpq_env() == {
        "PGHOST": "h", "PGUSER": "o", "PGPASSWORD": "p", "PGDATABASE": "d",
        "PGSSLMODE": "require", "PGCONNECT_TIMEOUT": "3",
    }  # fmt: skip
    assert parse("postgresql://o@h/d?ssl=verify-full", "x").libpq().endswith("sslmode=verify-full")
    named = parse("postgresql://o@h/d?application_name=theirs", "x")
    assert named.psycopg2("ours").query["application_name"] == "theirs"


@pytest.mark.parametrize(
    "spelling",
    [
        "postgresql://o:p@/d?host=/run/pg&port=5433",
        "postgresql://o:p@%2Frun%2Fpg:5433/d",
        "postgresql://:5433/d?host=/run/pg&user=o&password=p",
        "postgresql://?host=/run/pg&port=5433&user=o&password=p&dbname=d",
    ],
)
def test_socket_hosts(spelling: str) -> None:
    url = parse(spelling, "here")
    assert url.libpq() == "postgresql://o:p@/d?host=%2Frun%2Fpg&port=5433"
    assert url.libpq_env() == {
        "PGHOST": "/run/pg", "PGPORT": "5433", "PGUSER": "o", "PGPASSWORD": "p", "PGDATABASE": "d",
    }  # fmt: skip
    assert url.address == "socket /run/pg"


def test_ipv6_hosts() -> None:
    url = parse("postgresql://o@[::1]:5433/d", "here")
    assert url.url.host == "::1"
    assert url.libpq() == "postgresql://o@[::1]:5433/d"


@pytest.mark.parametrize("host", ["tcp", "socket"])
def test_every_driver_connects(
    external_server: Callable[[], object], fresh_database: Callable[[], str], host: str
) -> None:
    typed = fresh_database()
    cluster = external_server().cluster  # type: ignore[attr-defined]
    if host == "socket":
        tcp, socket = f"127.0.0.1:{cluster.port}/", f"/?host={cluster.socket_folder}"
        typed = typed.replace(tcp, f"{socket}&port={cluster.port}&dbname=")
    url = parse(typed, "here")
    name = "SELECT current_setting('application_name')"
    with create_engine(url.psycopg2("me")).connect() as connection:
        assert connection.scalar(text(name)) == "me"
    assert asyncio.run(_asyncpg(url.asyncpg("me"), name)) == "me"
    psycopg2.connect(url.libpq()).close()
    psql = [bundled().program("psql"), "-Atc", name]
    shown = subprocess.run(
        psql, env=os.environ | url.libpq_env("me"), capture_output=True, text=True, check=True
    )
    assert shown.stdout == "me\n"
    shown = subprocess.run([*psql, url.libpq("me")], capture_output=True, text=True, check=True)
    assert shown.stdout == "me\n"


async def _asyncpg(url: object, query: str) -> object:
    engine = create_async_engine(url)  # type: ignore[arg-type]
    async with engine.connect() as connection:
        found = await connection.scalar(text(query))
    await engine.dispose()
    return found


def test_the_environment_wins_then_dotenv_then_ini_then_the_fallback(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallback = resolve(ini, lambda: "postgresql://o@h/embedded")
    assert (fallback.url.database, fallback.source) == ("embedded", "the embedded database")
    ini.write_text("[alembic]\nsqlalchemy.url = postgresql://o@h/ini\n")
    assert (resolve(ini).url.database, resolve(ini).source) == ("ini", str(ini))
    dotenv = ini.with_name(".env")
    dotenv.write_text("OTHER=1\nDATABASE_URL=postgresql://o@h/dotenv\n")
    assert (resolve(ini).url.database, resolve(ini).source) == ("dotenv", str(dotenv))
    monkeypatch.setenv("DATABASE_URL", "postgresql://o@h/environment")
    assert resolve(ini).url.database == "environment"
    assert resolve(ini).source == "environment DATABASE_URL"
    monkeypatch.setenv("DATABASE_URL", "")
    assert resolve(ini).url.database == "dotenv"


def test_nothing_named_says_what_to_set(ini: Path) -> None:
    with pytest.raises(UrlError, match="Set DATABASE_URL=postgresql://"):
        resolve(ini)


def test_the_fallback_is_not_called_when_a_database_is_named(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    assert resolve(ini, lambda: pytest.fail("called")).url.host == "db.example"


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL={}",
        "export DATABASE_URL={}",
        'export DATABASE_URL="{}"',
        "DATABASE_URL='{}'  # the laboratory's",
        "  DATABASE_URL = {}",
    ],
)
@pytest.mark.parametrize("password", [ENCODED, "p%@/:?w#", "$HOME${x}"])
def test_dotenv_as_people_write_it(ini: Path, line: str, password: str) -> None:
    url = f"postgresql+asyncpg://orion:{password}@db.example:6432/orion_db"
    ini.with_name(".env").write_text("# settings\n" + line.format(url) + "\n")
    assert resolve(ini).url.password in {ODD, password}
    assert resolve(ini).url.host == "db.example"


@pytest.mark.parametrize("written", [URL, URL.replace("%", "%%"), URL.replace(ENCODED, ODD)])
def test_ini_with_percent_signs_as_they_are_or_doubled(ini: Path, written: str) -> None:
    ini.write_text(f"[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = {written}\n")
    assert resolve(ini).url.password == ODD


def test_quotes_left_by_tools_that_know_no_shell(
    ini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f'"{URL}"')
    assert resolve(ini).url.database == "orion_db"


def test_the_direct_url_has_the_same_sources(ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_direct(ini) is None
    ini.with_name(".env").write_text("DATABASE_URL_DIRECT=postgresql://o@h/dotenv\n")
    assert resolve_direct(ini).url.database == "dotenv"  # type: ignore[union-attr]
    monkeypatch.setenv("DATABASE_URL_DIRECT", "postgresql://o@h/environment")
    assert resolve_direct(ini).url.database == "environment"  # type: ignore[union-attr]
