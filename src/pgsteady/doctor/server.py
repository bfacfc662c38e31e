"""The server: its version, its disk, its standbys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from pgsteady.doctor.examination import Answer, Patient, not_known
from pgsteady.finding import Finding, Severity

OLDEST_MAJOR = 16

MIB, GIB = 2**20, 2**30
FREE_BYTES = GIB
FREE_SHARE = 0.05
"""Less free than either of these is nearly full."""

LAG_BYTES = 64 * MIB
LAG_S = 30.0
"""A standby further behind than either falls back while a migration writes a table anew."""

_VERSION = text(
    "SELECT current_setting('server_version_num')::int / 10000, "
    "split_part(current_setting('server_version'), ' ', 1), pg_is_in_recovery()"
)
_FOLDERS = text(
    "WITH data AS (SELECT setting FROM pg_settings WHERE name = 'data_directory') "
    "SELECT setting || '/pg_wal' FROM data UNION ALL SELECT setting FROM data UNION ALL "
    "SELECT location FROM pg_tablespace, pg_tablespace_location(oid) location WHERE location <> ''"
)
_LARGEST = text(
    "SELECT c.oid::regclass::text, pg_total_relation_size(c.oid) AS bytes FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema$)' "
    "ORDER BY c.relpages DESC, bytes DESC LIMIT 1"
)
_STANDBYS = text(
    "SELECT coalesce(nullif(application_name, ''), 'pid ' || pid) AS name, state, "
    "pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn))::bigint AS bytes, "
    "extract(epoch FROM replay_lag)::float8 AS seconds "
    "FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'"
)
_SLOTS = text(
    "SELECT quote_literal(slot_name) AS name, wal_status, "
    "pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes "
    "FROM pg_replication_slots WHERE NOT active AND (restart_lsn IS NOT NULL OR "
    "wal_status = 'lost')"
)


def version(patient: Patient) -> Answer:
    """Tell whether the server is one that pgsteady supports, and one that takes changes."""
    major, name, standby = patient.connection.execute(_VERSION).one()
    findings = []
    if major < OLDEST_MAJOR:
        findings.append(
            Finding(
                severity=Severity.ERROR,
                code="server-too-old",
                object=f"PostgreSQL {name}",
                message=f"PostgreSQL {OLDEST_MAJOR} or newer is needed.",
                cure="An administrator moves the cluster: pg_upgrade, or pg_dump and pg_restore.",
            )
        )
    if standby:
        findings.append(
            Finding(
                severity=Severity.ERROR,
                code="standby",
                object=patient.database.address,
                message="This server is a standby: it takes no change.",
                cure=f"Name the primary in {patient.database.source}.",
            )
        )
    return Answer(f"PostgreSQL {name}", tuple(findings))


def disk(patient: Patient) -> Answer:
    """Tell whether the server's disks have room, where they are this machine's too."""
    if (patient.database.url.host or "localhost") not in {"localhost", "127.0.0.1", "::1"}:
        return not_known("the server is on another machine")
    folders = [Path(folder) for folder in patient.connection.scalars(_FOLDERS)]
    disks = {folder.stat().st_dev: folder for folder in folders if _can_look_at(folder)}
    if not folders:
        grant = f"GRANT pg_read_all_settings TO {patient.role};"
        return not_known(f"where the server keeps its data is not shown to {patient.role}: {grant}")
    if not disks:
        return not_known(f"{folders[0]} cannot be looked at from here")
    table, largest = patient.connection.execute(_LARGEST).one_or_none() or ("", 0)
    free = {folder: shutil.disk_usage(folder) for folder in disks.values()}
    findings = [
        Finding(
            severity=Severity.ERROR,
            code="disk-nearly-full",
            object=str(folder),
            message=f"{_size(usage.free)} of {_size(usage.total)} are free"
            + (f"; writing {table} anew needs {_size(largest)}." if usage.free < largest else "."),
            cure="Make room before migrating: a server whose disk is full stops.",
        )
        for folder, usage in free.items()
        if usage.free < max(FREE_BYTES, usage.total * FREE_SHARE, largest)
    ]
    room = ", ".join(f"{_size(usage.free)} free at {folder}" for folder, usage in free.items())
    return Answer(room, tuple(findings))


def replication(patient: Patient) -> Answer:
    """Tell whether a standby is far behind, and whether a slot keeps WAL that nobody fetches."""
    if patient.connection.scalar(text("SELECT pg_is_in_recovery()")):
        return not_known("this server is a standby itself")
    standbys = patient.connection.execute(_STANDBYS).all()
    hidden = [standby.name for standby in standbys if standby.state is None]
    findings = [
        *(
            Finding(
                severity=Severity.WARNING,
                code="standby-behind",
                object=standby.name,
                message=f"This standby is {_size(standby.bytes or 0)} "
                f"and {standby.seconds or 0:.0f} s behind.",
                cure="Wait until it has caught up; a revision that writes much adds to it.",
            )
            for standby in standbys
            if (standby.bytes or 0) > LAG_BYTES or (standby.seconds or 0) > LAG_S
        ),
        *_idle_slots(patient),
    ]
    if hidden:
        reason = f"GRANT pg_monitor TO {patient.role}; lets it see how far standbys are behind"
        return Answer(f"{', '.join(hidden)}: {reason}", tuple(findings), known=False)
    return Answer(", ".join(standby.name for standby in standbys) or "no standby", tuple(findings))


def _idle_slots(patient: Patient) -> Iterator[Finding]:
    for slot in patient.connection.execute(_SLOTS):
        lost = slot.wal_status in {"lost", "unreserved"}
        if lost or (slot.bytes or 0) > LAG_BYTES:
            yield Finding(
                severity=Severity.WARNING,
                code="idle-slot",
                object=f"replication slot {slot.name}",
                message=f"Nobody reads from it; it is {slot.wal_status}, and the server keeps "
                f"{_size(slot.bytes or 0)} of WAL for it.",
                cure="Start its standby; or, if that is gone for good:",
                sql=f"SELECT pg_drop_replication_slot({slot.name});",
            )


def _can_look_at(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        return False


def _size(number: float) -> str:
    return f"{number / GIB:.1f} GiB" if number >= GIB else f"{number / MIB:.0f} MiB"
