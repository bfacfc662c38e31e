"""Is the live database what its revisions made, and what the models say?

Two comparisons of PostgreSQL's own canonical text: *drift*, the live database against a
replay of the revisions up to its own; and *pending*, against the models.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection

from pgsteady.allowed import allowances, reason_for
from pgsteady.catalog import Catalog
from pgsteady.compare import Difference, differences
from pgsteady.connection import connect
from pgsteady.errors import ClusterError, ReplayFailed
from pgsteady.finding import Finding, Severity
from pgsteady.judgement import SchemaFinding, judge
from pgsteady.live import read_live
from pgsteady.project import Project
from pgsteady.replay import Surroundings, replay
from pgsteady.reread import read_again
from pgsteady.scope import Scope
from pgsteady.scratch import built
from pgsteady.status import Status, read_status

REVISIONS, MODELS = "the revisions", "the models"
ONLY_IN_REVISIONS = (
    "views, functions, triggers, row security, policies, grants, owners, storage and extensions"
)
"""What models do not speak of, so that only a replay of the revisions tells drift."""


@dataclass(frozen=True)
class Report:
    """What a check found; ``not_compared`` names what it could not compare, and why."""

    status: Status
    drift: list[Finding] = field(default_factory=list)
    pending: list[Finding] = field(default_factory=list)
    allowed: list[tuple[Finding, str]] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Everything that is neither as expected nor allowed."""
        return [*self.drift, *self.pending]

    def as_json(self) -> dict[str, Any]:
        """Return the report as one document."""
        return {
            "status": asdict(self.status),
            "drift": [finding.as_json() for finding in self.drift],
            "pending": [finding.as_json() for finding in self.pending],
            "allowed": [{**finding.as_json(), "reason": why} for finding, why in self.allowed],
            "not_compared": self.not_compared,
        }


def check(project: Project) -> Report:
    """Compare the project's database with its revisions and with its models.

    Nothing is changed and no lock is taken on anybody's table.

    Raises:
        EnvironmentFault: the database cannot be reached.
        ModelsFailed: the models cannot be built for comparison.
        WrongAllowance: the allow-list cannot be used.
    """
    with connect(project.database()) as connection:
        with connection.begin() as transaction:
            status = read_status(project, connection)
            surroundings = Surroundings.of(connection)
            live = read_live(project, connection, surroundings.default_schema)
            models = built(connection, project.metadata, surroundings.default_schema)
            transaction.rollback()
        return _report(project, connection, status, surroundings, live, models)


def _report(
    project: Project,
    connection: Connection,
    status: Status,
    surroundings: Surroundings,
    live: Catalog,
    models: Catalog,
) -> Report:
    allowed = allowances(project.ini)
    scope = Scope(project, surroundings.default_schema)
    report = Report(status)
    drift = [*_unknown(status), *invalid_of_the_application(scope, live)]
    try:
        if status.current or any(key.kind == "table" for key in live):
            revisions = _replayed(project, status, surroundings)
            drift += compared_with_revisions(connection, scope, live, revisions)
    except (ReplayFailed, ClusterError) as error:
        report.not_compared.append(f"drift ({ONLY_IN_REVISIONS}): {error}")
    pending: list[SchemaFinding] = []
    if project.metadata:
        known = {_gist(finding) for finding in drift}
        found = compared_with_models(connection, scope, live, models)
        pending = [finding for finding in found if _gist(finding) not in known]
    else:
        report.not_compared.append("the models: env.py gives Alembic no target_metadata")
    for findings, into in ((drift, report.drift), (pending, report.pending)):
        for finding in findings:
            reason = reason_for(finding, allowed)
            if reason is None:
                into.append(finding)
            else:
                report.allowed.append((finding, reason))
    return report


def compared_with_models(
    connection: Connection, scope: Scope, live: Catalog, models: Catalog
) -> list[SchemaFinding]:
    """Return in what the live database is not what the models say."""
    live, models = in_terms_of_models(scope, live, models)
    found = model_differences(connection, scope, live, models)
    return [judge(difference, live, models, by=MODELS) for difference in found]


def in_terms_of_models(scope: Scope, live: Catalog, models: Catalog) -> tuple[Catalog, Catalog]:
    """Return of both catalogs what models could say something about."""
    return (
        scope.as_modelled(scope.of_live(live, scope.schemas_of_models), models),
        {key: facts for key, facts in models.items() if scope.includes(key, facts)},
    )


def model_differences(
    connection: Connection, scope: Scope, live: Catalog, models: Catalog
) -> list[Difference]:
    """Return how the two differ, but for names that the models leave to PostgreSQL."""
    found = [
        difference
        for difference in differences(live, models)
        if difference.change != "renamed" or scope.names_in_models(difference.key)
    ]
    return read_again(connection, found, live, models)


def _replayed(project: Project, status: Status, surroundings: Surroundings) -> Catalog:
    if status.unknown:
        raise ReplayFailed(f"no file of the project is for {', '.join(status.unknown)}")
    if not status.current:
        raise ReplayFailed("the database names no revision; if it has tables, ask the doctor")
    return replay(project, status.current, surroundings)


def compared_with_revisions(
    connection: Connection, scope: Scope, live: Catalog, revisions: Catalog
) -> list[SchemaFinding]:
    """Return in what the live database is not what the revisions made."""
    live = scope.of_live(live, {key.schema for key in revisions} | scope.schemas_of_models)
    revisions = {key: facts for key, facts in revisions.items() if scope.includes(key, facts)}
    found = [d for d in differences(live, revisions) if not _is_an_administrators(d, live)]
    remaining = read_again(connection, found, live, revisions)
    return [judge(difference, live, revisions, by=REVISIONS) for difference in remaining]


def _is_an_administrators(difference: Difference, live: Catalog) -> bool:
    """Tell whether another role than ours made a schema or extension, or took it over."""
    key, change = difference.key, difference.change
    if key.kind not in {"extension", "schema"}:
        return False
    return difference.fact == "owner" or (change == "extra" and "owner" in live[key])


def invalid_of_the_application(scope: Scope, live: Catalog) -> list[SchemaFinding]:
    """Find what a failed build left of the application's own indexes."""
    return [
        judge(Difference(key, "changed", "valid", "INVALID"), live, {key: {}}, by=REVISIONS)
        for key, facts in live.items()
        if scope.of_the_application(key) and "valid" in facts
    ]


def _unknown(status: Status) -> list[SchemaFinding]:
    return [
        SchemaFinding(
            severity=Severity.ERROR,
            code="unknown-revision",
            object=f"revision {revision}",
            message="the database has it, no file of the project is for it",
            cure="Get the code that it belongs to, or ask `doctor` what the schema matches.",
        )
        for revision in status.unknown
    ]


def _gist(finding: SchemaFinding) -> tuple[str, ...]:
    return finding.object, finding.code, finding.live, finding.expected
