"""The servers that other tests rely on are what they claim to be."""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest

from pgsteady.server import BUNDLED_MAJORS


@pytest.mark.parametrize("major", BUNDLED_MAJORS)
def test_orion_owns_a_database_with_vector_and_is_no_superuser(
    fresh_database: Callable[..., str], major: int
) -> None:
    connection = psycopg2.connect(fresh_database(major))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT '[1,2]'::vector <-> '[1,3]'::vector, rolsuper FROM pg_roles "
            "WHERE rolname = current_user"
        )
        assert cursor.fetchone() == (1.0, False)
        assert connection.server_version // 10000 == major
    connection.close()


def test_orion_cannot_create_the_extension(fresh_database: Callable[..., str]) -> None:
    connection = psycopg2.connect(fresh_database(extension=False))
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("CREATE EXTENSION vector")
    connection.close()
