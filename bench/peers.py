"""Peers run in environments of their own, on a database of their own in the same server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, text

from api.db import database_url


def beside(python: str, script: str, *words: object) -> dict[str, Any]:
    """Let an interpreter run a script of this folder; return the JSON document it prints.

    It is given the address of a new database, then ``words``; libpq's variables say the same.
    The database is named after the script, and dropped first if it is there.
    """
    ours = database_url().url
    name = Path(script).stem
    engine = create_engine(ours.set(drivername="postgresql+psycopg2"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    url = ours.set(drivername="postgresql", database=name)
    command = [
        python,
        str(Path(__file__).with_name(script)),
        url.render_as_string(hide_password=False),
        *map(str, words),
    ]
    environment = os.environ | _libpq(url)
    answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _libpq(url: URL) -> dict[str, str]:
    query = {name: str(value) for name, value in url.query.items()}
    said = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": url.port or query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
    }
    return {name: str(value) for name, value in said.items() if value}
